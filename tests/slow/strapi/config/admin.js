'use strict';

module.exports = {
  serveAdminPanel: false,
  auth: { secret: 'for tests only' },
  apiToken: { salt: 'for tests only' },
  transfer: { token: { salt: 'for tests only' } },
  secrets: { encryptionKey: 'for tests only, of any 32 letters' },
};
