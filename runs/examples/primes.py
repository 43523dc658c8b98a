import math
import time


def is_prime(n):
    return n > 1 and all(n % d for d in range(2, math.isqrt(n) + 1))


found = []
for n in range(1, 2001):
    if is_prime(n):
        found.append(n)
    if n % 200 == 0:
        print(f"Up to {n}: {len(found)} primes, the largest is {found[-1]}")
        time.sleep(0.4)

print(f"Sum of all {len(found)} primes: {sum(found):,}")
