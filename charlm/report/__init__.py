"""Reports on runs, from their small files and without torch: `charlm runs`, `charlm report`, `charlm compare`.

run directories ──metrics_log, curves──> Curves ──────────────┬──plot──> SVG ──page──> report.html
                ──run_summary──> RunSummary ──────────────────┤             figure──> report.png
                ──settings_comparison──> SettingsComparison ──┘             listing──> lines of `charlm runs`
rows of models  ──comparison, label_comparison──> Markdown, CSV, PNG
labels          ──confusion──> the confusion matrix of `charlm eval --confusion`, as PNG or CSV

measures       the figures that plots show     charts, runs_table  the plots and the table of a page
axis_scale     limits and ticks of an axis     curve_style     a colour and a line style for each run
end_labels     names beside the curves         write_report    all of `charlm report`
"""
