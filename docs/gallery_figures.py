"""Shows in the gallery the figures that connectrial's functions return.

They are not pyplot's, so sphinx-gallery's own scraper does not see them. A block shows the figure
that it assigns to a variable called ``figure``.
"""

from __future__ import annotations

from sphinx_gallery.scrapers import figure_rst


def _scrape(block, block_vars, gallery_conf):
    if "figure = " not in block[1]:
        return ""
    path = next(block_vars["image_path_iterator"])
    block_vars["example_globals"]["figure"].savefig(path, dpi=150, bbox_inches="tight")
    return figure_rst([path], gallery_conf["src_dir"])


def _get_sg_image_scraper():
    return _scrape
