"""The prefixes of links that show nothing: File and Category in many languages, and the codes of other Wikipedias.

SiteInfo.namespaces ── file_prefixes, category_prefixes ──> the links that `brackets` drops
                    ── template_prefixes ──────────────> what `templates` drops from {{Шаблон:lang-en|ship}}
"""

from collections.abc import Mapping

_MEDIA, _SPECIAL, _FILE, _TEMPLATE, _CATEGORY = -2, -1, 6, 10, 14

_FILE_NAMES = """
    file image media archivo imagen archivu imachen datei bild fichier fichièr immagine ficheiro imagem bestand
    afbeelding plik grafika plaetje lêer файл изображение зображення выява датотека слика податотека картинка
    ملف صورة پرونده تصویر فائل קובץ תמונה ファイル 画像 文件 图像 圖像 檔案 档案 파일 그림 պատկեր αρχείο εικόνα
    চিত্ৰ चित्र ไฟล์ ภาพ hình berkas gambar dosya resim fil mynd tiedosto kuva fail pilt attēls fails vaizdas slika
    datoteka soubor súbor fájl kép fișier imagine fitxer imatge fitxategi irudi dosiero dosieron íomhá faidhle delwedd
    fasciculus figura picha restr ფაილი სურათი tập_tin зураг рәсем mmàggini
"""
_CATEGORY_NAMES = """
    category kategorie catégorie categoría categoria categorie kategoria kategory категория категорія катэгорыя
    категорија ангилал تصنيف رده زمرہ קטגוריה カテゴリ 分类 分類 분류 կատեգորիա კატეგორია κατηγορία বিষয়শ্রেণী श्रेणी
    หมวดหมู่ thể_loại kategori flokkur luokka kategooria kategorija kategoreja kategória catagóir categori jamii
    kaarangay rummad categuria
"""
"""Names and aliases, with underscores for spaces. The header of the wiki does not suffice: pages also use English
names, old aliases, and names in the language from which they were translated."""

_TEMPLATE_NAMES = """
    anakuhi andoza ankra avise batakan bee_álnééhí berjocht bysen bản_mẫu citakan cithakan clowan cèṭa'an
    endrika foarloage format formula fyrimynd ilisserut ingero inyandikorugero kakivauvaljan kigezo macuëc mal
    mall malline masalipa moddel model modele modell modello modelo modeło modèl modèle modèlo mudel mudell
    muster myenster málle múnla nemachiyōtīlli nhwɛsode nhwɛsoɔ nodyn näüdüs ohia padron pang-bô͘ panmwo patrom
    patrono patrôon plantilia plantilla plantilya plantía pola prantilla predefinição predloga predložak
    předłoha pśedłoga royuwaay sablon samafomot scantlyn schablon schabloun seunaleuëk shablon shablono sikavno
    sjabloon skabelon skantlyn snið snluan_qcinuh stamp stampa suleras szablon szablóna t taazihan_mitudung
    taiss talɣa talγa tapapitcikesinihikan ta‌̱mpi‌̱let teamplaid teimpléad tembiecharã templat template templet
    tempolete termo'a teza tipapitcikesinihikan tiêu_bản txantiloi tɛmplet veidne vorlach vorlage vorlog vörlaag
    xabblón xablón àdàkọ àtụ ülgi ürnäk ŝablono ş şablon šablon šablona šablonas šablonu šabluons šablóna
    πρότυπο πρότυπον ашаблон дакъан загбар загвар зура калып кевләр кеп куцкеп кышкар ло лопапарцун майык
    образьць обраꙁьць предлошка халип халыып хуызæг ш шаблон шаблона шаблён ямдылык ҡалып үлгі үрнәк ӱлекер
    կաղապար מוסטער תב תבנית الگو د داڕێژە سانچو سانچہ سنچو شابلون فرما قالب قاڵب قېلىپ موضيل ٴۇلگٴى ٷلگٸ کينډۍ
    ۇلگى ܩܠܒܐ ފަންވަތް ߞߙߊߞߏ आ आकृति खाँचा टेम्पलेट ढाँ ढाँचा पटिरूप प्रारूप फलकम् बिंबधर सा साँचा सांचो साचा
    টেমপ্লেট মডেল সাঁচ ਨਮੂਨਾ ਫਰਮਾ ઢાંચો ଛାଞ୍ଚ ଟେଁପଲେଟ ଟେମ୍ପଲେଟ வார்ப்புரு మూస ಟೆಂಪ್ಲೇಟು ಟೆಂಪ್ಲೇಟ್ ഫ ഫലകം සැකිල්ල
    แม่แบบ ແມ່ແບບ တမ်းပလိတ် တမ်းပလေက် ထာမ်ပလိက် ထႅမ်းပလဵတ်ႉ ထႅမ်းပလဵၵ်ႉ თარგი መለጠፊያ መልጠፊያ ሞደል ទំព័រគំរូ ᱪᱷᱟᱸᱪ 样板
    模板 樣板 ꯇꯦꯝꯄ꯭ꯂꯦꯠ 틀 𐍆𐌰𐌿𐍂𐌰𐌼𐌴𐌻𐌴𐌹𐌽𐍃
"""
"""Names and aliases of the namespace Template on all Wikipedias, in lower case, from their siteinfo of December 2022
(as the package mwconstants records it)."""

_WIKIPEDIAS = """
    aa ab ace ady af ak als alt am ami an ang ann anp ar arc ary arz as ast atj av avk awa ay az azb ba ban bar
    bat-smg bbc bcl be be-tarask be-x-old bew bg bh bi bjn blk bm bn bo bpy br bs btm bug bxr ca cbk-zam cdo ce
    ceb ch cho chr chy ckb co cr crh cs csb cu cv cy da dag de dga din diq dsb dtp dty dv dz ee el eml en eo es
    et eu ext fa fat ff fi fiu-vro fj fo fon fr frp frr fur fy ga gag gan gcr gd gl glk gn gom gor got gpe gu
    guc gur guw gv ha hak haw he hi hif ho hr hsb ht hu hy hyw hz ia iba id ie ig igl ii ik ilo inh io is it iu
    ja jam jbo jv ka kaa kab kbd kbp kcg kg kge ki kj kk kl km kn knc ko koi kr krc ks ksh ku kus kv kw ky la
    lad lb lbe lez lfn lg li lij lld lmo ln lo lrc lt ltg lv mad mai map-bms mdf mg mh mhr mi min mk ml mn mni
    mnw mo mos mr mrj ms mt mus mwl my myv mzn na nah nan nap nds nds-nl ne new ng nia nl nn no nov nqo nr nrm
    nso nup nv ny oc olo om or os pa pag pam pap pcd pcm pdc pfl pi pih pl pms pnb pnt ps pt pwn qu rm rmy rn ro
    roa-rup roa-tara rsk ru rue rup rw sa sah sat sc scn sco sd se sg sgs sh shi shn si simple sk skr sl sm smn
    sn so sq sr srn ss st stq su sv sw syl szl szy ta tay tcy tdd te tet tg th ti tig tk tl tly tn to tokipona
    tpi tr trv ts tt tum tw ty tyv udm ug uk ur uz ve vec vep vi vls vo vro wa war wo wuu xal xh xmf yi yo yue
    za zea zgh zh zh-classical zh-min-nan zh-yue zu
"""

INTERLANGUAGE_PREFIXES = frozenset(_WIKIPEDIAS.split())
"""Prefixes of links to the same article in another language; without a label they show nothing."""


def file_prefixes(namespaces: Mapping[int, str]) -> frozenset[str]:
    """Return the case-folded prefixes of links to media and files, in this wiki's and other languages."""
    return _prefixes(namespaces, (_MEDIA, _FILE), _FILE_NAMES)


def category_prefixes(namespaces: Mapping[int, str]) -> frozenset[str]:
    """Return the case-folded prefixes of links to categories, in this wiki's and other languages."""
    return _prefixes(namespaces, (_CATEGORY,), _CATEGORY_NAMES)


def special_prefixes(namespaces: Mapping[int, str]) -> frozenset[str]:
    """Return the case-folded prefixes of links to special pages: the wiki's own and the English one."""
    return _prefixes(namespaces, (_SPECIAL,), "special")


def _prefixes(namespaces: Mapping[int, str], numbers: tuple[int, ...], names: str) -> frozenset[str]:
    own = (namespaces[number].casefold() for number in numbers if namespaces.get(number))
    return frozenset(own) | {name.replace("_", " ") for name in names.split()}


def template_prefixes(namespaces: Mapping[int, str]) -> frozenset[str]:
    """Return the names of the namespace Template in lower case, of this wiki and of other languages."""
    own = namespaces.get(_TEMPLATE, "template").lower()
    return frozenset(name.replace("_", " ") for name in (own, *_TEMPLATE_NAMES.split()))
