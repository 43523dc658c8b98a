import json
import time


def emit(type, **data):
    print(json.dumps({"type": type, "data": data}))


files = ["users.csv", "orders.csv", "items.csv", "prices.csv", "stock.csv"]
emit("start", files=len(files))
print("Lines that are not JSON stay plain output.")

rows = 0
for number, name in enumerate(files, start=1):
    time.sleep(0.6)
    rows += number * 120
    emit("progress", message=f"Read {name}", percent=100 * number // len(files))

emit("result", rows=rows, errors=0)
