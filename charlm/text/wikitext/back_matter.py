"""Sections at the end of a page that are not prose: references, links, further reading.

Their titles are known in many languages (`is_back_matter`). In others, a section is found by what it holds: only links
to other sites and citations (`drop_reference_sections`).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from charlm.text.wikitext.marks import MARKS

_TITLES = """
references | notes | footnotes | citations | sources | bibliography | further reading | external links | see also
explanatory notes | general references | works cited | notes and references | general bibliography | general sources
other websites | related pages | other sources | primary sources | secondary sources | references and notes
endnotes
cited works | sources cited | reading | more reading | links | related links | official websites | image gallery
gallery
specific | general | inline citations | reference | external link | web links | navigation | literature cited
literatur | weblinks | einzelnachweise | siehe auch | quellen | anmerkungen | fußnoten | belege | nachweise
galerie
références | notes et références | voir aussi | liens externes | bibliographie | articles connexes | annexes | notes
lien externe | sources et bibliographie | article connexe
referencias | véase también | enlaces externos | bibliografía | notas | notas y referencias | fuentes | galería
note | bibliografia | voci correlate | altri progetti | collegamenti esterni | riferimenti
referências | ver também | ligações externas | leitura adicional | bibliografia | fontes
bronnen | zie ook | externe links | externe link | literatuur | noten | referenties | voetnoten
bronnen, noten en/of referenties
przypisy | zobacz też | linki zewnętrzne | uwagi | galeria
примечания | ссылки | литература | см. также | источники | библиография | сноски | комментарии | галерея
примітки | посилання | література | див. також | джерела | бібліографія | виноски | коментарі | посилання на джерела
галерея
зноскі | спасылкі | літаратура | гл. таксама | глядзіце таксама | крыніцы | заўвагі | вонкавыя спасылкі
глядзі таксама
източници | външни препратки | вижте също | бележки | литература
референце | спољашње везе | види још | напомене | извори | reference | spoljašnje veze | vidi još
vanjske poveznice | izvori
poznámky | externí odkazy | související články | odkazy | zdroje | literatura | reference
referencie | externé odkazy | iné projekty | pozri aj
externa länkar | se även | källor | referenser | vidare läsning | noter | fotnoter
referanser | eksterne lenker | se også | litteratur | kilder | noter | eksterne henvisninger | fodnoter
lähteet | aiheesta muualla | katso myös | kirjallisuutta | viitteet
források | jegyzetek | további információk | lásd még | külső hivatkozások | irodalom
referințe | note | legături externe | vezi și | bibliografie
παραπομπές | εξωτερικοί σύνδεσμοι | δείτε επίσης | πηγές | βιβλιογραφία | σημειώσεις
kaynakça | dış bağlantılar | ayrıca bakınız | notlar | kaynaklar | konuyla ilgili yayınlar
הערות שוליים | קישורים חיצוניים | ראו גם | לקריאה נוספת
مراجع | وصلات خارجية | انظر أيضًا | انظر أيضا | المراجع | مصادر | ملاحظات
منابع | پانویس | جستارهای وابسته | پیوند به بیرون
संदर्भ | सन्दर्भ | बाहरी कड़ियाँ | इन्हें भी देखें | टिप्पणी
তথ্যসূত্র | বহিঃসংযোগ | আরও দেখুন | আরো দেখুন | পাদটীকা | আরও পড়ুন | আরো পড়ুন | টীকা | গ্রন্থপঞ্জি | উৎস
চিত্রশালা
সূত্র | উদ্ধৃতি | টীকা ও তথ্যসূত্র | তথ্যসূত্রের তালিকা | বহিঃ সংযোগ | পাদটীকা ও তথ্যসূত্র | গ্যালারি
脚注 | 外部リンク | 関連項目 | 参考文献 | 出典 | 注釈 | 関連文献
脚注・出典 | 関連書籍 | 注 | 参照 | ギャラリー | 画像 | 出典・脚注 | 注記
参考资料 | 参考文献 | 外部链接 | 外部連結 | 参见 | 參見 | 參考資料 | 參考文獻
注释 | 註釋 | 相关条目 | 相關條目 | 脚注 | 延伸阅读 | 延伸閱讀
같이 보기 | 각주 | 외부 링크 | 참고 문헌 | 참고문헌 | 주석
tham khảo | liên kết ngoài | xem thêm | chú thích | đọc thêm | ghi chú | thư mục | nguồn tham khảo
liên kết bên ngoài | hình ảnh
tài liệu tham khảo | thư viện ảnh | thư mục hình ảnh | nguồn | liên kết | ghi chú và tham khảo
referensi | pranala luar | lihat pula | catatan kaki | catatan | bacaan lanjutan | daftar pustaka
referències | enllaços externs | vegeu també | notes | bibliografia
ծանոթագրություններ | արտաքին հղումներ | տես նաև | տե՛ս նաև | գրականություն | աղբյուրներ | նշումներ | հղումներ
պատկերասրահ
լուսանկարներ | հավելյալ գրականություն | մատենագիտություն | նկարներ
სქოლიო | რესურსები ინტერნეტში | იხილეთ აგრეთვე | ლიტერატურა
atsauces | ārējās saites | skatīt arī | literatūra | piezīmes
šaltiniai | nuorodos | taip pat skaitykite | literatūra | išnašos
viited | välislingid | vaata ka | kirjandus
nūruodis | verīs taipoš | teiklavītys | atsaucis | olūti | literatura | uorejuos nūruodis | galereja
izmontuotuo literatura
"""
_BACK_MATTER = frozenset(
    title.strip().casefold() for line in _TITLES.strip().split("\n") for title in line.split("|") if title.strip()
)
_TITLE_SEPARATOR = re.compile(
    r"\s+(?:and|&|und|et|e|y|ed|en|og|och|i|ir|un|та|і|й|и|ու|և|ও|এবং|và|ve|ja|és|și|και)\s+|\s*[/,、・]\s*"
)


def is_back_matter(title: str) -> bool:
    """Return whether a section with this title lists references or links; "Sources and notes" does too."""
    title = title.strip(" :'\"").casefold()
    return title in _BACK_MATTER or all(part in _BACK_MATTER for part in _TITLE_SEPARATOR.split(title))


# These patterns begin with a newline, which `re` looks for much faster than for ^.
_HEADING = re.compile(r"\n(={1,6})([^\n]*[^\n=])\1[ \t]*(?=\n|\Z)")
_ADDRESS = r"(?:https?|ftp)://[^\s\[\]{}<>|\"]++"
ADDRESS_LINE = re.compile(rf"\n[ \t*#:;']*+(?:{_ADDRESS}[ \t.,;']*+)++(?=\n|\Z)")
_EXTERNAL_LINK = re.compile(rf"\[(?:{_ADDRESS}|//[^\s\[\]]++)([^\[\]\n]*+)\]|{_ADDRESS}", re.IGNORECASE)
_TEMPLATE = re.compile(r"\{\{[^{}]*+\}\}")
_LINK = re.compile(r"\[\[([^\[\]|]*+)(?:\|[^\[\]]*+)?\]\]")
_AROUND_LINE = " \t*#:;'" + MARKS
_LINK_MARK = "\x05"
_MAX_DEPTH = 5  # of templates and links in each other
_CITATION = re.compile(r"\b(?:ISBN|ISSN|OCLC|PMID|JSTOR|DOI|arXiv)\b", re.IGNORECASE)
_WORD_CHARACTER = re.compile(r"[^\W_]")
_FIRST_IDEOGRAPH = "\u2e80"
_MAX_SIZE_BEHIND_LINK = 60  # letters and digits; an ideograph counts twice
_MAX_SIZE_AROUND_LINK = 30
_MAX_SIZE_OF_CITATION = 400
_EMPTY, _LINKS, _REFERENCES, _PROSE = range(4)  # kinds of lines; a section is of the highest kind of its lines


@dataclass(frozen=True, slots=True)
class WithoutReferences:
    """A page's wikitext without sections of references, and the numbers of what was dropped."""

    text: str
    sections: int = 0
    """Sections at the end that held nothing but links and citations."""
    address_lines: int = 0
    """Lines elsewhere that held nothing but addresses."""


def drop_reference_sections(text: str) -> WithoutReferences:
    """Drop the sections at the end of a page whose lines are all links to other sites or citations, in any language.

    Lists of links within the wiki beside them are dropped too ("See also"), unless the page has a section whose title
    `is_back_matter` knows: then it knows that title too. Lines elsewhere that are only addresses are also dropped.

    Args:
        text: wikitext without comments, references and literals, behind a newline.
    """
    spans = _find_reference_sections(text)
    start = 0
    pieces: list[str] = []
    for section_start, section_end in reversed(spans):
        pieces.append(text[start:section_start])
        start = section_end
    text = "".join((*pieces, text[start:]))
    text, address_lines = ADDRESS_LINE.subn("", text) if "://" in text else (text, 0)
    return WithoutReferences(text, len(spans), address_lines)


def _find_reference_sections(text: str) -> list[tuple[int, int]]:
    """Return (start, end) of the sections to drop, from the last one on."""
    candidates: list[tuple[int, int, int]] = []
    has_known_title = False
    end = len(text)
    for heading in reversed([*_HEADING.finditer(text)]):
        if is_back_matter(heading[2].strip()):
            has_known_title = True
        elif (kind := _kind_of_section(text[heading.end() : end])) == _PROSE:
            break
        elif kind != _EMPTY:
            candidates.append((heading.start(), end, kind))
        end = heading.start()
    lowest = _REFERENCES if has_known_title or all(kind == _LINKS for _, _, kind in candidates) else _LINKS
    return [(start, end) for start, end, kind in candidates if kind >= lowest]


def _kind_of_section(body: str) -> int:
    lines = body.split("\n")
    if any(_is_prose(line) for line in _lines_outside_templates(lines)):
        return _PROSE
    return max(_kind_of_line(line.strip(_AROUND_LINE)) for line in _mark_links(body).split("\n"))


def _lines_outside_templates(lines: list[str]) -> Iterator[str]:
    """Yield the lines that no template of several lines holds."""
    depth = 0
    for line in lines:
        outer = depth
        depth += line.count("{{") - line.count("}}")
        if outer == depth == 0:
            yield line


def _is_prose(line: str) -> bool:
    return len(line) > _MAX_SIZE_BEHIND_LINK and _kind_of_line(_mark_links(line).strip(_AROUND_LINE)) == _PROSE


def _mark_links(text: str) -> str:
    """Return the text without templates and with a mark for each link, from the inside out."""
    for _ in range(_MAX_DEPTH):
        if "[" not in text and "{" not in text:
            break
        shorter = _LINK.sub(_mark_link, _TEMPLATE.sub("", text))
        if len(shorter) == len(text):
            break
        text = shorter
    return text


def _mark_link(link: re.Match[str]) -> str:
    """Replace a link by a mark; one with a prefix shows nothing (a file, a category) or is as good as nothing."""
    return "" if ":" in link[1] else _LINK_MARK


def _kind_of_line(line: str) -> int:
    if line.startswith(("|", "!", "{|")):
        return _EMPTY
    links = list(_EXTERNAL_LINK.finditer(line)) if "//" in line else []
    if not links and not _CITATION.search(line):
        return _PROSE if _WORD_CHARACTER.search(line) else _LINKS if _LINK_MARK in line else _EMPTY
    beside = _EXTERNAL_LINK.sub("", line)
    words = _WORD_CHARACTER.findall(beside)
    size = len(words) + sum(character >= _FIRST_IDEOGRAPH for character in words)
    # words before [http://x], which has no label, are a statement with its source
    is_list_of_links = not size or any(link[0][0] != "[" or link[1].strip() for link in links)
    if links and is_list_of_links:
        max_size = _MAX_SIZE_AROUND_LINK if _WORD_CHARACTER.search(line[: links[0].start()]) else _MAX_SIZE_BEHIND_LINK
        if size <= max_size:
            return _REFERENCES
    if size and _CITATION.search(beside) and size <= _MAX_SIZE_OF_CITATION:
        return _REFERENCES
    return _PROSE if size else _LINKS if _LINK_MARK in line else _EMPTY
