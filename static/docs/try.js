// Starts Swagger UI on our own document; its colours are fetched from nowhere else.
const place = document.getElementById("swagger");
window.SwaggerUIBundle({
  url: place.dataset.document,
  domNode: place,
  deepLinking: true,
  validatorUrl: null,
  requestInterceptor: (request) => ({ ...request, credentials: "omit" }),
});
