"""The tags that MediaWiki and its extensions read themselves, and what of them a reader of the page sees.

The names are those of MediaWiki and of the extensions on Wikimedia's wikis: `extensiontags` in the siteinfo of
wikis (as stored in the repositories wikimedia/parsoid and wikimedia/wikipedia-ios), and the documentation of
ProofreadPage, Translate, Chart, Tabber, DynamicPageList and LiquidThreads. Tag names are read in any case.
"""

LITERAL_TAGS = ("nowiki", "pre", "syntaxhighlight", "source")
"""Tags that show their content as it is written."""
FORMULA_TAGS = ("math", "chem", "ce")
POEM_TAG = "poem"
"""Shows its lines as they are; markup in them is read."""
TABBER_TAG = "tabber"
"""Shows tabs, each with a label: |-|Label=content."""
MAP_LINK_TAG = "maplink"
"""Shows its attribute `text`."""

TRANSLATE_TAGS = ("translate", "tvar")
"""Tags that are removed before the page is read: what follows them can begin a line."""
LABEL_TAGS = ("section", "abschnitt", "trecho", "קטע", "langconvert", "phonos")
"""Tags that show nothing but their content. Labeled Section Transclusion has German, Portuguese and Hebrew names."""

UNSEEN_TAGS = ("templatestyles", "indicator", "rp", "style", "script")
"""Tags that show nothing where they stand."""
INCLUDED_TAG = "includeonly"
"""Its content belongs to other pages only."""
HIDDEN_TAGS = (
    "references", "ref",
    "gallery", "imagemap", "timeline", "graph", "chart", "score", "hiero", "mapframe",
    "inputbox", "charinsert", "quiz", "categorytree", "templatedata", "talkpage", "thread", "rss",
    "pages", "pagelist", "pagequality", "languages", "tabbertransclude", "dynamicpagelist", "dpl", "splist",
    "collaborationkitloadliststyles",
)  # fmt: skip
"""Tags that show something which is no prose: notes, pictures, forms, and text of other pages."""
