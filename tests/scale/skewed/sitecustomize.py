"""Python with a wrong clock: SKEW_SECONDS ahead, or behind. Put this directory on PYTHONPATH."""

import datetime
import os
import time

_skew = float(os.environ["SKEW_SECONDS"])
_time, _datetime = time.time, datetime.datetime


class _Meta(type):
    def __instancecheck__(cls, value):
        return isinstance(value, _datetime)

    def __subclasscheck__(cls, other):
        return issubclass(other, _datetime)


class _Skewed(_datetime, metaclass=_Meta):
    """Gives plain datetimes: the C code that meets them knows no others."""

    __slots__ = ()

    def __new__(cls, *args, **kwargs):
        return _datetime(*args, **kwargs)

    @classmethod
    def now(cls, tz=None):
        return _datetime.fromtimestamp(_time() + _skew, tz)

    @classmethod
    def utcnow(cls):
        return cls.now(datetime.UTC).replace(tzinfo=None)


time.time = lambda: _time() + _skew
datetime.datetime = _Skewed
