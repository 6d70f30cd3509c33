"""The API's own description: an OpenAPI 3.1 document a dialect, and a page that shows them."""

from api.openapi.serve import add

__all__ = ["add"]
