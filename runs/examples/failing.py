import sys
import time

orders = [{"id": 1, "price": "12.50"}, {"id": 2, "price": "8"}, {"id": 3, "price": "free"}]
total = 0.0

for order in orders:
    print(f"Order {order['id']}: {order['price']}")
    time.sleep(0.4)
    if not order["price"].replace(".", "").isdigit():
        print(f"order {order['id']} has a strange price", file=sys.stderr)
    total += float(order["price"])

print(f"Total: {total}")
