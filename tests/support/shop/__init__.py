"""An app of the Django project of the tests: a shop, whose orders are shipped by jobs. Importing it sets Django up."""

from __future__ import annotations

from support import site as site
