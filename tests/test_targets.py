"""Where webhooks may lead."""

from django.test import SimpleTestCase, override_settings

from runs.targets import BadTarget, check_address, parse_target

PUBLIC = ["93.184.216.34", "8.8.8.8", "2606:4700::6810:84e5", "2002:808:808::1"]
PRIVATE = [
    "127.0.0.1", "127.8.9.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1",
    "100.64.0.1", "169.254.169.254", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
    "192.0.2.1", "198.18.0.1", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1",
    "fec0::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
    "::127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::10.0.0.1", "2002:7f00:1::1",
    "2002:a00:1::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:db8::1",
]  # fmt: skip
NEVER = ["169.254.169.254", "fe80::1", "224.0.0.1", "ff02::1", "0.0.0.0", "::",
         "::ffff:169.254.169.254", "64:ff9b::169.254.169.254"]  # fmt: skip


class AddressTests(SimpleTestCase):
    def test_public_ones(self):
        for address in PUBLIC:
            with self.subTest(address):
                check_address(address)

    def test_private_ones(self):
        for address in PRIVATE:
            with self.subTest(address), self.assertRaises(BadTarget):
                check_address(address)

    @override_settings(WEBHOOK_PRIVATE=True)
    def test_on_an_intranet(self):
        for address in ("127.0.0.1", "10.1.2.3", "::1", "fd12::1", *PUBLIC):
            with self.subTest(address):
                check_address(address)
        for address in NEVER:
            with self.subTest(address), self.assertRaises(BadTarget):
                check_address(address)


class ParseTests(SimpleTestCase):
    def test_good_ones(self):
        for url, authority, port, path in (
            ("https://example.org", "example.org", 443, "/"),
            ("https://example.org:8443/a/b?c=d", "example.org:8443", 8443, "/a/b?c=d"),
            ("https://[2606:4700::1]/x", "[2606:4700::1]", 443, "/x"),
            ("https://8.8.8.8", "8.8.8.8", 443, "/"),
        ):
            with self.subTest(url):
                target = parse_target(url)
                found = target.authority, target.port, target.path
                self.assertEqual(found, (authority, port, path))

    def test_bad_ones(self):
        for url in (
            "", "example.org", "http://example.org", "ftp://example.org", "file:///etc/passwd",
            "https://", "https:///x", "https://u:p@example.org", "https://u@example.org",
            "https://example.org/#x", "https://example.org:0", "https://example.org:99999",
            "https://example.org:x", "https://exa mple.org", "https://example.org/\r\nX: y",
            "https://example.org/\n", "https://ex\0ample.org", "https://münchen.example",
            "https://[::1]/", "https://[::ffff:127.0.0.1]/", "https://127.0.0.1/", "https://[",
            "https://169.254.169.254/latest", "javascript:alert(1)",
            "https://example.org/" + "x" * 500,
        ):  # fmt: skip
            with self.subTest(url[:60]), self.assertRaisesRegex(BadTarget, r"\.$"):
                parse_target(url)

    @override_settings(WEBHOOK_HTTP=True)
    def test_without_tls_where_that_is_allowed(self):
        self.assertEqual(parse_target("http://example.org/x").port, 80)
        with self.assertRaises(BadTarget):
            parse_target("http://127.0.0.1/")
