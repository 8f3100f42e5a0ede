"""Language conversion: `-{zh-hans:A;zh-hant:B}-` -> the text of one variant, on wikis whose language has variants.

    load_variants("zh") ──> Variants: `convert` replaces the braces;   load_variants("en") ──> None: `G-{v}` stays

The variants are `languagevariants` of the wikis' siteinfo, in the order in which MediaWiki falls back on them.
"""

import re
from dataclasses import dataclass
from functools import cache

_LANGUAGES = {
    "ban": "ban ban-bali ban-x-dharma ban-x-palmleaf ban-x-pku",
    "crh": "crh crh-cyrl crh-latn",
    "gan": "gan gan-hans gan-hant",
    "iu": "iu ike-cans ike-latn",
    "kk": "kk kk-cyrl kk-latn kk-arab kk-kz kk-tr kk-cn",
    "ku": "ku ku-arab ku-latn",
    "sh": "sh sh-latn sh-cyrl",
    "shi": "shi shi-tfng shi-latn",
    "sr": "sr sr-ec sr-cyrl sr-el sr-latn",
    "tg": "tg tg-latn",
    "tly": "tly tly-cyrl",
    "uz": "uz uz-latn uz-cyrl",
    "wuu": "wuu wuu-hans wuu-hant",
    "zgh": "zgh zgh-latn",
    "zh": "zh zh-hans zh-hant zh-cn zh-tw zh-hk zh-sg zh-mo zh-my",
}
_NAMES = {
    "zh": "不转换", "zh-hans": "简体", "zh-hant": "繁體", "zh-cn": "大陆", "zh-tw": "臺灣", "zh-hk": "香港",
    "zh-sg": "新加坡", "zh-mo": "澳門", "zh-my": "大马",
}  # fmt: skip
_BRACES = re.compile(r"-\{((?:(?!-\{|\}-).)*+)\}-", re.DOTALL)
_MAX_NESTING = 5
_HIDING_FLAGS = frozenset("TH-")


@dataclass(frozen=True, slots=True)
class Variants:
    """The variants of one language."""

    codes: tuple[str, ...]
    """In the order of preference: the text of the first one that a rule has is shown."""
    rule_start: re.Pattern[str]
    """Finds `code:` or `word=>code:` at the start of a rule, and the semicolon before it."""

    def convert(self, text: str) -> str:
        """Return the text with all `-{...}-` replaced by what they show; braces without a partner are dropped."""
        for _ in range(_MAX_NESTING):  # from the inside out
            if "-{" not in text:
                return text
            text = _BRACES.sub(self._show, text)
        return text

    def _show(self, match: re.Match[str]) -> str:
        flags, bar, rules = match[1].partition("|")
        names = {flag.strip() for flag in flags.split(";")}
        if not bar or names & set(self.codes):
            return self._choose(match[1] if not bar else rules)
        if names & _HIDING_FLAGS:
            return ""
        if "R" in names:
            return rules
        if "N" in names:
            return _NAMES.get(rules.strip(), rules.strip())
        if "D" in names:
            return "".join(f"{_NAMES.get(code, code)}：{shown}；" for code, shown in self._parse(rules).items())
        return self._choose(rules)

    def _choose(self, rules: str) -> str:
        texts = self._parse(rules)
        return next((texts[code] for code in self.codes if code in texts), rules.strip())

    def _parse(self, rules: str) -> dict[str, str]:
        """Return code -> text; {} if the text has no rules. A rule begins only at the code of a variant."""
        starts = list(self.rule_start.finditer(rules))
        if not starts or rules[: starts[0].start()].strip():
            return {}
        ends = [*(start.start() for start in starts[1:]), len(rules)]
        shown = (rules[start.end() : end].strip().removesuffix(";") for start, end in zip(starts, ends, strict=True))
        return dict(zip((start[1].lower() for start in starts), shown, strict=True))


@cache
def load_variants(code: str) -> Variants | None:
    """Return the variants of the language of a wiki, None if it has none."""
    if code not in _LANGUAGES:
        return None
    codes = tuple(_LANGUAGES[code].split())
    names = "|".join(sorted(map(re.escape, codes), key=len, reverse=True))
    return Variants(codes, re.compile(rf"(?:^|;)\s*(?:[^;=>]*=>\s*)?({names})\s*:", re.IGNORECASE))
