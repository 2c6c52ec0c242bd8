'use strict';

// Starts Strapi without its admin panel, and prints two API tokens, as JSON, once it answers.
const { createStrapi } = require('@strapi/strapi');

async function serve() {
  const strapi = await createStrapi({ appDir: __dirname, distDir: __dirname, autoReload: false, serveAdminPanel: false }).load();
  const tokens = strapi.service('admin::api-token');
  const full = await tokens.create({ name: 'full', type: 'full-access', lifespan: null });
  const reader = await tokens.create({ name: 'reader', type: 'read-only', lifespan: null });
  await strapi.listen();
  process.stdout.write(`${JSON.stringify({ token: full.accessKey, read_only_token: reader.accessKey })}\n`);
}

serve().catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exit(1);
});
