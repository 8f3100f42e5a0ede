"""Reports on runs, from their small files and without torch: `charlm runs`, `charlm report`, `charlm compare`.

run directories ──metrics_log, curves──> Curves ──────────────┬──plot──> SVG ──page──> report.html
                ──run_summary──> RunSummary ──────────────────┤             figure──> report.png
                ──settings_comparison──> SettingsComparison ──┘             listing──> lines of `charlm runs`
rows of models  ──comparison──> Markdown, CSV, PNG

axis_scale     limits and ticks of an axis     curve_style     a colour and a line style for each run
end_labels     names beside the curves         write_report    all of `charlm report`
"""
