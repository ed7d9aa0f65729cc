window.ui = SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  layout: "BaseLayout",
  persistAuthorization: true,
  presets: [SwaggerUIBundle.presets.apis],
  tryItOutEnabled: true,
});
