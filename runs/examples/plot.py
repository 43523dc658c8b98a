import math

import matplotlib.pyplot as plt

x = [step / 50 for step in range(500)]
damped = [math.exp(-t / 4) * math.cos(2 * math.pi * t) for t in x]
envelope = [math.exp(-t / 4) for t in x]

fig, ax = plt.subplots(figsize=(8, 3.6))
ax.plot(x, damped, linewidth=1.6, label="displacement")
ax.plot(x, envelope, linestyle="--", linewidth=1, label="envelope")
ax.set(title="A damped oscillation", xlabel="seconds", ylabel="amplitude")
ax.grid(alpha=0.3)
ax.legend()
plt.show()

print(f"{len(x)} points drawn")
