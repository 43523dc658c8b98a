import json
import time


def emit(stage, status, progress):
    print(json.dumps({"stage": stage, "status": status, "progress": progress}))


def work(stage, seconds, steps=5):
    emit(stage, "running", 0)
    for step in range(1, steps + 1):
        time.sleep(seconds / steps)
        print(f"{stage}: part {step} of {steps}")
        emit(stage, "running", 100 * step // steps)
    emit(stage, "completed", 100)


work("extract", 2)
work("transform", 4)
work("load", 2)
print("Pipeline finished")
