"""The Content-Security-Policy of every page: our own files and nothing inline."""

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        # Sockets of the same host count as 'self'.
        "connect-src 'self'",
        # Rich results, each from a page of its own that has RESULT_POLICY.
        "frame-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)

# A program's HTML: no scripts, no network, no origin, even when opened by itself.
# Inline styles stay, since tables and notebooks come with them.
RESULT_POLICY = "; ".join(
    (
        "sandbox",
        "default-src 'none'",
        "style-src 'unsafe-inline'",
        "img-src data:",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'self'",
    )
)


def content_security_policy(get_response):
    """Middleware; a view that sets the header itself keeps what it set."""

    def middleware(request):
        response = get_response(request)
        response.headers.setdefault("Content-Security-Policy", POLICY)
        if response.headers.get("Content-Type", "").startswith("text/html"):
            # Whoever logs out leaves nothing for the next person at the same browser.
            response.headers.setdefault("Cache-Control", "no-store")
        return response

    return middleware
