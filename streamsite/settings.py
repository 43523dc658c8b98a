"""All settings, read from the environment. Safe by default; README has the table."""

import hashlib
import os
import secrets
import sys
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent


def env_flag(name: str, default: bool = False) -> bool:
    value = os.environ.get(name, "").strip().lower()
    if value in ("", "0", "false", "no", "off"):
        return default if value == "" else False
    if value in ("1", "true", "yes", "on"):
        return True
    raise ImproperlyConfigured(f"{name} is {value!r}; set it to 1 or 0.")


def env_number(name: str, default: float, low: float = 0) -> float:
    value = os.environ.get(name, "").strip()
    if not value:
        return default
    try:
        number = float(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name} is {value!r}; set it to a number.") from None
    if not number >= low:
        raise ImproperlyConfigured(f"{name} is {value}; the least allowed is {low:g}.")
    return int(number) if number == int(number) else number


def env_list(name: str) -> list[str]:
    return [item.strip() for item in os.environ.get(name, "").split(",") if item.strip()]


def private_directory(path: Path) -> Path:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def read_secret_key(data_dir: Path) -> str:
    """The key from the environment, else one kept in the data dir, made on first use."""
    if key := os.environ.get("STREAMSITE_SECRET_KEY", ""):
        return key
    path = data_dir / "secret_key"
    try:
        # Exclusive, so that two processes starting together agree on one key.
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        pass
    else:
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_urlsafe(50))
    if key := path.read_text().strip():
        return key
    raise ImproperlyConfigured(f"{path} is empty; delete it, or set STREAMSITE_SECRET_KEY.")


def postgresql(url: str) -> dict:
    """Django's settings for it. Raises ImproperlyConfigured."""
    try:
        found = dj_database_url.parse(url)
    except ValueError:
        found = {}
    if found.get("ENGINE") != "django.db.backends.postgresql":
        raise ImproperlyConfigured(
            "DATABASE_URL must look like postgresql://user:password@host:5432/name. "
            "Unset it to keep everything in SQLite in the data dir."
        )
    # Every thread that asks keeps its connection: those of requests, see README.
    found["CONN_HEALTH_CHECKS"] = True
    found["CONN_MAX_AGE"] = env_number("STREAMSITE_DATABASE_SECONDS", 60)
    found["OPTIONS"] = {
        "connect_timeout": 5,
        "application_name": f"streamsite {program_name()}",
        # A machine that vanished is given up in seconds, not in a quarter of an hour.
        "tcp_user_timeout": 10_000,
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        # What asks for it is prepared, see runs/streaming/storing.py.
        "prepare_threshold": 5,
        **found.get("OPTIONS", {}),
    }
    return found


def program_name() -> str:
    """serve, worker, launch …; of another server its own name."""
    path = Path(sys.argv[0])
    if path.name == "manage.py":
        return next(iter(sys.argv[1:]), path.name)
    return path.parent.name if path.name == "__main__.py" else path.stem


def secrets_of_settings() -> list[str]:
    """What no line of the log may hold."""
    names = ("STREAMSITE_ADMIN_PASSWORD", "E2B_API_KEY", "ANTHROPIC_API_KEY")
    passwords = [urlsplit(url).password for url in (DATABASE_URL, REDIS_URL)]
    given = [os.environ.get(name, "").strip() for name in names]
    return [SECRET_KEY, *SECRET_KEY_FALLBACKS, *given, *map(unquote, filter(None, passwords))]


DATA_DIR = private_directory(
    Path(os.environ.get("STREAMSITE_DATA_DIR") or BASE_DIR / "data").expanduser().resolve()
)
SECRET_KEY = read_secret_key(DATA_DIR)
SECRET_KEY_FALLBACKS = env_list("STREAMSITE_SECRET_KEY_FALLBACKS")
# The same for all our processes, and nobody else's.
DEPLOYMENT = "streamsite-" + hashlib.sha256(SECRET_KEY.encode()).hexdigest()[:12]
DEBUG = env_flag("STREAMSITE_DEBUG")
ALLOWED_HOSTS = env_list("STREAMSITE_ALLOWED_HOSTS") or ["localhost", "127.0.0.1", "[::1]"]

INSTALLED_APPS = [
    "channels",
    "streamsite.apps.Admin",
    # Before auth: its createsuperuser and changepassword are ours, which are noted.
    "runs",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    # Before staticfiles: its runserver is Daphne's. Daphne itself is no app here, or every
    # command would import Twisted.
    "streamsite.apps.Streamsite",
    "django.contrib.staticfiles",
    "ninja",
    "axes",
]

MIDDLEWARE = [
    # First, so that what the others answer by themselves has their headers too.
    "runs.web.csp.content_security_policy",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "axes.middleware.AxesMiddleware",
]

# Who guesses passwords has to wait. By name and address together: nobody can lock
# somebody else out from elsewhere.
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_LOCKOUT_CALLABLE = "runs.web.account.locked_out"
# Logins are noted as everything else is, in runs/access.py.
AXES_DISABLE_ACCESS_LOG = True
AXES_VERBOSE = False
AXES_ENABLE_ADMIN = False

ROOT_URLCONF = "streamsite.urls"
ASGI_APPLICATION = "streamsite.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "libraries": {"runs": "runs.web.filters"},
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

SQLITE_SYNCHRONOUS = os.environ.get("STREAMSITE_SQLITE_SYNCHRONOUS", "NORMAL").upper()
if SQLITE_SYNCHRONOUS not in ("NORMAL", "FULL"):
    raise ImproperlyConfigured("STREAMSITE_SQLITE_SYNCHRONOUS must be NORMAL or FULL.")

SQLITE = {
    "ENGINE": "django.db.backends.sqlite3",
    "NAME": DATA_DIR / "db.sqlite3",
    "OPTIONS": {
        # IMMEDIATE: a transaction that reads first and writes later cannot
        # be refused half-way because another writer came between.
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": (
            # First, and heard by a new file only: deleting gives space back, see README.
            "PRAGMA auto_vacuum=INCREMENTAL;"
            "PRAGMA journal_mode=WAL;"
            f"PRAGMA synchronous={SQLITE_SYNCHRONOUS};"
            "PRAGMA cache_size=-2000;"
        ),
    },
    # A file, because the recorder and the readers have connections of their own.
    "TEST": {"NAME": DATA_DIR / "test.sqlite3"},
}
DATABASE_URL = os.environ.get("DATABASE_URL", "")
REDIS_URL = os.environ.get("REDIS_URL", "")
if DATABASE_URL and not REDIS_URL:
    raise ImproperlyConfigured(
        "DATABASE_URL is set and REDIS_URL is not. With PostgreSQL several processes share "
        "the work and tell each other of output over Redis: set REDIS_URL, too. "
        "Or unset DATABASE_URL to keep everything in SQLite in the data dir."
    )
# With both, any number of processes share the work: see README, "Scale out".
IS_SHARED = bool(DATABASE_URL)
if IS_SHARED:
    if find_spec("procrastinate") is None:
        raise ImproperlyConfigured(
            "DATABASE_URL is set, but the extra `scale` is not installed. "
            "Run pip install -e '.[scale]', or unset DATABASE_URL."
        )
    INSTALLED_APPS.append("procrastinate.contrib.django")
    PROCRASTINATE_IMPORT_PATHS = ["runs.execution.jobs"]
DATABASES = {"default": postgresql(DATABASE_URL) if DATABASE_URL else SQLITE}

CHANNEL_LAYERS = {
    "default": (
        {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            # Publish/subscribe knows no databases: others may use the same Redis.
            "CONFIG": {"hosts": [REDIS_URL], "prefix": DEPLOYMENT},
        }
        if REDIS_URL
        else {"BACKEND": "channels.layers.InMemoryChannelLayer"}
    )
}

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "launch"
LOGOUT_REDIRECT_URL = "login"

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False

STATIC_URL = "/static/"
# Served straight from the packages: nothing to collect, so nothing to forget.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG

TRUSTED_PROXY = env_flag("STREAMSITE_TRUSTED_PROXY")
if TRUSTED_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    USE_X_FORWARDED_HOST = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True
    CSRF_TRUSTED_ORIGINS = [
        f"https://{'*' + host if host.startswith('.') else host}"
        for host in ALLOWED_HOSTS
        if host != "*"
    ]
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
# Under /api/ as JSON, elsewhere as a page.
CSRF_FAILURE_VIEW = "runs.web.errors.csrf_failure"

# --- runs ---------------------------------------------------------------------

SANDBOX = os.environ.get("STREAMSITE_SANDBOX", "auto") or "auto"
if SANDBOX not in ("auto", "local", "e2b"):
    raise ImproperlyConfigured("STREAMSITE_SANDBOX must be auto, local or e2b.")
if SANDBOX == "auto":
    SANDBOX = "e2b" if os.environ.get("E2B_API_KEY") else "local"

# quickstart sets this: an unconfined local sandbox is then allowed on loopback.
QUICKSTART = False
LOCAL_ALLOW_UNCONFINED = env_flag("STREAMSITE_LOCAL_ALLOW_UNCONFINED")
LOCAL_NETWORK = env_flag("STREAMSITE_LOCAL_NETWORK")
LOCAL_CONFINE = env_flag("STREAMSITE_LOCAL_CONFINE", True)
LOCAL_NOTEBOOK_SPARE = env_flag("STREAMSITE_LOCAL_NOTEBOOK_SPARE", True)
LOCAL_MEMORY_BYTES = env_number("STREAMSITE_LOCAL_MEMORY_BYTES", 4 * 1024**3)
LOCAL_FILE_BYTES = env_number("STREAMSITE_LOCAL_FILE_BYTES", 1024**3)
LOCAL_PROCESSES = env_number("STREAMSITE_LOCAL_PROCESSES", 512)

# For agent runs: handed to their sandbox's environment and to nothing else.
ANTHROPIC_API_KEY = os.environ.get("ANTHROPIC_API_KEY", "").strip()
ANTHROPIC_BASE_URL = os.environ.get("ANTHROPIC_BASE_URL", "").strip()
E2B_AGENT_TEMPLATE = os.environ.get("STREAMSITE_E2B_AGENT_TEMPLATE", "").strip()

# Key and addresses of E2B are read by its SDK: E2B_API_KEY, E2B_DOMAIN and so on.
E2B_TEMPLATE = os.environ.get("STREAMSITE_E2B_TEMPLATE", "").strip()
# How long a sandbox outlives an executor that died; a living run's is extended.
E2B_SANDBOX_SECONDS = env_number("STREAMSITE_E2B_SANDBOX_SECONDS", 300, low=30)
E2B_INTERNET = env_flag("STREAMSITE_E2B_INTERNET", True)
# Tells our sandboxes from others of the same key.
E2B_DEPLOYMENT = os.environ.get("STREAMSITE_E2B_DEPLOYMENT", "").strip() or DEPLOYMENT

MAX_RUNS = env_number("STREAMSITE_MAX_RUNS", 100, low=1)
PROGRAM_BYTES = env_number("STREAMSITE_PROGRAM_BYTES", 256 * 1024, low=1)
# A launch holds one program, which JSON may write six times as long.
DATA_UPLOAD_MAX_MEMORY_SIZE = max(2 * 1024**2, 8 * PROGRAM_BYTES)
MAX_TASKS = 64
TIMEOUT_DEFAULT = 300
TIMEOUT_MAX = 86_400
OUTPUT_CAP_BYTES = env_number("STREAMSITE_OUTPUT_CAP_BYTES", 64 * 1024**2, low=64 * 1024)
# End a run that reaches the cap instead of dropping the middle of its output.
OUTPUT_CAP_ENDS_RUN = env_flag("STREAMSITE_OUTPUT_CAP_ENDS_RUN")
STALL_SECONDS = env_number("STREAMSITE_STALL_SECONDS", 30)
# Others may take a run over when its executor has not been heard of for so long.
LEASE_SECONDS = env_number("STREAMSITE_LEASE_SECONDS", 6 if IS_SHARED else 30, low=1)
# What a worker that is stopped gives runs that nobody else could go on with.
GRACE_SECONDS = env_number("STREAMSITE_GRACE_SECONDS", 30)
# How many requests are answered at once; on PostgreSQL each has a connection.
REQUEST_THREADS = int(env_number("STREAMSITE_REQUEST_THREADS", 8, low=1))
# Where a worker serves /metrics and /health: a port, or host:port.
WORKER_METRICS = os.environ.get("STREAMSITE_WORKER_METRICS", "").strip()
# How long access events are kept; 0: for ever.
ACCESS_DAYS = env_number("STREAMSITE_ACCESS_DAYS", 0)
VIEWER_STALL_SECONDS = env_number("STREAMSITE_VIEWER_STALL_SECONDS", 30, low=1)
VIEWER_RECHECK_SECONDS = env_number("STREAMSITE_VIEWER_RECHECK_SECONDS", 30, low=1)
PING_SECONDS = 15

# How long a shared link may live at most; 0: none can be made, and none works.
SHARE_DAYS = env_number("STREAMSITE_SHARE_DAYS", 90)

# Where webhooks may lead: nobody's intranet, and only over TLS, unless this is one.
WEBHOOK_PRIVATE = env_flag("STREAMSITE_WEBHOOK_PRIVATE")
WEBHOOK_HTTP = env_flag("STREAMSITE_WEBHOOK_HTTP")
# Where people reach this site: addresses in messages begin so.
SITE_URL = os.environ.get("STREAMSITE_URL", "").strip().rstrip("/")

LOG_FORMAT = os.environ.get("STREAMSITE_LOG_FORMAT", "").strip() or "text"
if LOG_FORMAT not in ("text", "json"):
    raise ImproperlyConfigured("STREAMSITE_LOG_FORMAT must be text or json.")
LOG_PROGRAM = program_name()
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "runs.logs.JsonLines" if LOG_FORMAT == "json" else "runs.logs.Lines",
            "program": LOG_PROGRAM,
            "secrets": secrets_of_settings(),
        },
    },
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": "line"},
    },
    "root": {"handlers": ["stderr"], "level": os.environ.get("STREAMSITE_LOG_LEVEL", "INFO")},
    "loggers": {
        "daphne": {"level": "WARNING"},
        # launch shows the program's own output.
        "runs.execution": {"level": "WARNING" if LOG_PROGRAM == "launch" else "NOTSET"},
        "django.request": {"level": "ERROR"},
        # They tell of every call to E2B, with the key in its headers.
        **{name: {"level": "WARNING"} for name in ("httpx", "httpcore", "h2", "hpack")},
        "procrastinate": {"level": "WARNING"},  # tells of every job
        "axes": {"level": "WARNING"},  # tells of every login; so do our own events
        # Takes every listener that is told to stop for an error; hints tell what matters.
        "channels_redis": {"level": "CRITICAL"},
        # It has handlers of its own; its access log would hold what queries hold.
        "uvicorn": {"propagate": True},
        "uvicorn.access": {"level": "WARNING", "propagate": True},
    },
}
