"use strict";

// Shows the document that the page names. No validator and no other host is asked.
const where = document.getElementById("docs");
window.ui = SwaggerUIBundle({
  url: where.dataset.document,
  domNode: where,
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
  persistAuthorization: false,
});
