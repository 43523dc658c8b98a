from django.conf import settings

# Otherwise WhiteNoise looks for all static files once per test client.
settings.WHITENOISE_AUTOREFRESH = True
