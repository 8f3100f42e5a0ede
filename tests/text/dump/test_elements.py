"""Redirects are recognized in any language; a numbered list is not a redirect."""

import pytest

from charlm.text.dump.elements import is_redirect


@pytest.mark.parametrize(
    "text",
    [
        "#REDIRECT [[A]]", "#redirect[[A]]", " \n#Redirect : [[A]] {{R from}}", "#WEITERLEITUNG [[A]]",
        "#перенаправление [[А]]", "#ПЕРЕНАПРАВЛЕНИЕ: [[А]]", "#İSTİQAMƏTLƏNDİRMƏ [[A]]", "#تغییر_مسیر [[ا]]",
        "#تغییر مسیر [[ا]]", "#転送 [[あ]]", "＃転送[[あ]]", "#重定向 [[甲]]", "#ΑΝΑΚΑΤΕΥΘΥΝΣΗ [[Α]]",
        "#REDIRECT\n[[A]]", "#YÖNLENDİRME [[Liman]]", "#yönlendİrme [[A]]", "#YÖNLENDİR[[A]]", "#REDIRECCIÓ [[A]]",
        "#Patrz [[A]]", "#OHJAUS [[A]]", "#पुनर्प्रेषित [[अ]]", "#넘겨주기 [[가]]", "#הפניה [[א]]",
    ],
)  # fmt: skip
def test_redirects(text: str) -> None:
    assert is_redirect(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "#", "#REDIRECT", "#REDIRECT A", "REDIRECT [[A]]", "# one [[A]]\n# two", "Text\n#REDIRECT [[A]]",
        "#REDIRECTED [[A]]", "#YÖNLENDIRMEK [[A]]", "#i̇sti̇qamətləndi̇rmə [[A]]", "#FOO [[A]]",
    ],
)  # fmt: skip
def test_no_redirects(text: str) -> None:
    assert not is_redirect(text)
