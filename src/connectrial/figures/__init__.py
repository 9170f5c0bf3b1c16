"""Figures: tables in, matplotlib figure (or inline SVG) out; nothing here saves or computes."""
