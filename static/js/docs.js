// @ts-check
/** The API's description: Swagger UI over our own openapi.json, in the theme of the pages. No validator is asked. */

(() => {
  const wanted = localStorage.getItem("glasshouse.theme");
  const isDark = wanted ? wanted === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.classList.toggle("dark-mode", isDark);
  document.documentElement.style.colorScheme = isDark ? "dark" : "light";

  const swagger = /** @type {any} */ (window).SwaggerUIBundle;
  swagger({
    url: "openapi.json",
    dom_id: "#docs",
    deepLinking: true,
    validatorUrl: null,
    defaultModelsExpandDepth: 0,
    docExpansion: "none",
    tryItOutEnabled: true,
  });
})();
