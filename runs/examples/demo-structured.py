import json
import time


def emit(type, **data):
    print(json.dumps({"type": type, "data": data}))


begun = time.monotonic()
emit("start", message="Three files to read")

rows = 0
for number, name in enumerate(("north.csv", "south.csv", "west.csv"), start=1):
    time.sleep(0.3)
    rows += 100 * number
    print(f"Read {name}")
    emit("progress", percent=round(100 * number / 3), status=f"{number} of 3 files read")

emit("result", rows=rows, average=rows / 3)
emit("complete", status="success", duration=round(time.monotonic() - begun, 2))
