"""The titles of sections at the end of a page that are not prose: references, links, further reading."""

import re

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
