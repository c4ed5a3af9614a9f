"""Ids of sets: the vectors of spec model 11 and rules 13.8."""

from __future__ import annotations

import pytest

from tortie.calc.set_id import named_port_set_id, selector_set_id

SELECTORS = [
    ("all()", "s:5y5I3VdRZfDU01O--xXAPx2yxCQQqMf0M6IWug"),
    ("!(has(b) || !has(a))", "s:Iss0uCleLYv1GSv_pNm7hAO58kE9jAx1NKyG3Q"),
    ('!(a == "b" && !c != "d")', "s:lh3haoY1ikTRkd4UZu0nWSaIBknYLPJLX16d-w"),
    ("has(a)", "s:JpRGrxZ4kdS6g7WoF-uG_g7qlh2ipw2zGYBMpQ"),
    ("has(b)", "s:15BsN3lAoN-RxJvEZg4cV1d_NN1IZSgW1ReU-g"),
    ('a == "b"', "s:flMh0m0X_BowkAK_W3j3MgH8oQOsj3WxGDoXCQ"),
    ('a in {"a", "b", "d"}', "s:47Z8J8dfSg-rF2l7gb0UoCWC8HcdwnHgIX8-wA"),
    ('(role == "db" && env != "dev")', "s:6bxNOv1u2rar4L57CFjb8CpE_pnmVqspUYbIXA"),
    ('projectcalico.org/namespace == "default"', "s:4g010_DunYvItGg3dv2MxnaJYxWEVRwn0exiaA"),
    ('(projectcalico.org/namespace == "ns1" && role == "client")', "s:TqLohIFmwleJANVwI_zJXgxllk7KZ1ysuriaTA"),
    ('(projectcalico.org/namespace == "ns1" && !env == "dev")', "s:_iIKXuSO0avX9s3CgXrMR-UEX75MspNeEkC9IQ"),
    ('(role == "a" && !env == "dev")', "s:aWufrdxHzxaZ9XG76z5gpi3JM73a97LF4Rv7_w"),
    ('env == "dev"', "s:Up_GutopGQk0lcR7OfV_vXQeMju2V-FhUYlR4Q"),
    ('pcns.team == "red"', "s:UE0qd2vUzKcEIYtT328sZNRVV3sIX3z7YcBGjQ"),
    (
        '(projectcalico.org/namespace == "ns1" && projectcalico.org/serviceaccount in {"sa1", "sa2"})',
        "s:R0HP-t4zOw6cGdNZrAXRTX9sIfQ6Yw2j8QVLeQ",
    ),
    (
        '(projectcalico.org/namespace == "ns1" && '
        '((pcsa.role == "x" && projectcalico.org/serviceaccount in {"sa1"}) && app == "y"))',
        "s:9cFuTs31ReP3VXmhegFhUYa-TeQ2DJcQRJIGOQ",
    ),
    (
        '(projectcalico.org/namespace == "ns1" && (projectcalico.org/orchestrator == "k8s" && role == "frontend"))',
        "s:YukLInVeCwFdGUqaUY30J0jNWYUHBgfe6xB9kg",
    ),
    (
        '(projectcalico.org/namespace == "ns1" && projectcalico.org/orchestrator == "k8s")',
        "s:tSFuQZXX8hNL4DG3JN7DZ0J8DYMYPsQPXniRFg",
    ),
    ('(pcns.team == "red" && projectcalico.org/orchestrator == "k8s")', "s:dsbLj_G2LGNE45YvnNmvIb8491-4KxMiMK6tHw"),
    (
        '(has(projectcalico.org/namespace) && projectcalico.org/orchestrator == "k8s")',
        "s:Vbl4aLpsO8Ss0UCzvsdmKAp4rZRC-V4hJGyiGg",
    ),
]


@pytest.mark.parametrize(("canonical", "expected"), SELECTORS, ids=[text for text, _ in SELECTORS])
def test_selector(canonical: str, expected: str) -> None:
    assert selector_set_id(canonical) == expected


@pytest.mark.parametrize(
    ("canonical", "protocol", "port", "expected"),
    [
        ("all()", "tcp", "http", "n:cl9_Kgeu4H0OGLbhovVR3NBLUOZscKeMK1Mu4A"),
        ("all()", "udp", "dns", "n:wBUuGT_s8isCYKpah3eXsbdmUcK81NRtDXrUEA"),
        ('role == "db"', "tcp", "psql", "n:s4IebwKotj0fXDZc6DX1YxEZL-5QXvNpY1Zlgw"),
        (
            '(projectcalico.org/namespace == "ns1" && role == "db")',
            "tcp",
            "psql",
            "n:OBc0h7Ak6b6OoZ3Pk5_7Ho7JUkAobzKf3L7avQ",
        ),
    ],
)
def test_named_port(canonical: str, protocol: str, port: str, expected: str) -> None:
    assert named_port_set_id(selector_set_id(canonical), protocol, port) == expected
