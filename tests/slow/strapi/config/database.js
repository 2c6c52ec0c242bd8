'use strict';

module.exports = ({ env }) => ({
  connection: {
    client: 'postgres',
    connection: { host: env('PGHOST'), user: env('PGUSER'), database: env('PGDATABASE') },
    pool: { min: 0, max: 5 },
  },
});
