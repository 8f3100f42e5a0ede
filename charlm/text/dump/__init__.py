"""The file of a MediaWiki dump in, pages and documents out.

    file ── plan ──> ranges ── pages ──> Page ── articles ──> Document

plan      reads the header and finds where the file can be cut
ranges    the ranges of bz2 streams between the cuts, and their XML
index     the index file of a multistream dump: where its streams begin
pages     XML -> pages, in bounded memory; elements: one XML element -> Page or SiteInfo; prolog: what is refused
articles  pages -> cleaned documents, as tasks for several processes
counts    what is in a dump, for `charlm inspect`
"""
