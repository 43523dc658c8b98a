import os
import sys
import time

print("Prompt:", os.environ.get("PROMPT") or "none given")

steps = 5
total = 0
for step in range(1, steps + 1):
    total += step * step
    print(f"Step {step} of {steps}: the sum of squares is {total}")
    time.sleep(0.3)

print("Almost done", file=sys.stderr)
{"steps": steps, "total": total}
