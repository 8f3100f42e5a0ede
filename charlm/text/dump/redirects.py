"""Whether wikitext is a redirect: `#REDIRECT [[Target]]` in the words of any language.

Exports from 0.4 on tag redirects; this is for those before, and for the tools that leave the tag out.
"""

import re

_WORDS = """
    redirect aanstuur adkas ailgyfeirio ail-cyfeirio al aliah alidirekti alidirektu alih ancaminar athsheoladh aýdaw
    beralîkirin birzuzendu daskedyans dirección dirijar doorverwijzing endrecera reendrecera fihodinana hetenayiş
    kiahou kúfù leidt_öm_op ömleide ömleide_op ömleidung lencong lencongan ohjaus uudelleenohjaus omdiriger omdirigera
    omdirigering omstilling viderestilling ođđasitstivren stivren patrz przekieruj tam peradresavimas pāradresācija
    preusmeri preusmeritev preusmjeri presmeruj přesměruj pupinah pusapuna redireccion redirección redirecionamento
    redirectare redirecteaza redirection redirèccion renviament ridrejto rimando rindirizza rinvia rinvio stir suuna
    tilvísun varda viruleedung weiterleitung wiederleiden yonaltirish yoʻnaltirish yönlendir yönlendirme yönnendir
    yönnendirmä yönnendirmäkler átirányítás đổi İSTİQAMƏTLƏNDİR İSTİQAMƏTLƏNDİRMƏ ανακατευθυνση
    айдау бағыттау виж види джибериу дӏасахьажор көжүрүлге перанакіраванне перанакіраваньне перенаправление
    перенаправлення перенапр пренасочване пренасочување преусмери преусмјери прѣнаправлєниѥ рарвыст редирект хьажайо
    чиглүүлэг шигледир юнәлтү æрвитæн æрвыст վերահղում გადამისამართება
    הפניה ווייטערפירן تحويل تغییرمسیر تغییر_مسیر بور رجوع_مکرر چوريو ܨܘܝܒܐ
    अनुप्रेषित पुनर्निदेशन पुनर्निर्देशन पुनर्प्रेषित पुर्ननिर्देशन পুনঃনির্দেশ পুনর্নির্দেশ ਰੀਡਿਰੈਕਟ ଲେଉଟାଣି வழிமாற்று
    తిరగవ్రాయండి దారిమార్పు തിരിച്ചുവിടൽ തിരിച്ചുവിടുക വഴിമാറ്റുക යළියොමුව เปลี่ยนทาง
    បញ្ជូនបន្ត ប្ដូរចំណងជើង ប្ដូរទីតាំង ប្ដូរទីតាំងទៅ ប្តូរទីតាំង ប្តូរទីតាំងទៅ
    転送 リダイレクト 넘겨주기 重定向 重新導向
"""
"""MediaWiki's magic words for it, of all languages (underscores may be spaces); case does not matter."""

_REDIRECTS = frozenset(word.casefold().replace("_", " ") for word in _WORDS.split())
_START = re.compile(r"\s*[#＃]([^\[\]\n]{1,40}?)\s*:?\s*\[\[")


def is_redirect(text: str) -> bool:
    """Whether this wikitext sends its reader to another page."""
    start = _START.match(text)
    return start is not None and start[1].strip(" _:").casefold().replace("_", " ") in _REDIRECTS
