-- WishCraft: gift registries for Shopify shops.
--
-- write_number is the running number that the load generator gives to each of its writes, edit_number the one of the
-- edit that a row has had. Rows of the seed have neither. Both are unique: a write is found by its number or it is lost.

CREATE TABLE shops (
  shop_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  domain       text NOT NULL UNIQUE CHECK (domain ~ '^[a-z0-9-]+\.myshopify\.com$'),
  plan_name    text NOT NULL CHECK (plan_name IN ('starter', 'growth', 'plus')),
  settings     jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(settings) = 'object'),
  installed_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE customers (
  customer_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  shop_id      bigint NOT NULL REFERENCES shops,
  email        text NOT NULL CHECK (position('@' IN email) > 1),
  full_name    text NOT NULL,
  consent      jsonb NOT NULL DEFAULT '{}',
  write_number bigint UNIQUE,
  created_at   timestamptz NOT NULL DEFAULT now(),
  UNIQUE (shop_id, email),
  UNIQUE (shop_id, customer_id)
);

CREATE TABLE registries (
  registry_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  shop_id      bigint NOT NULL REFERENCES shops,
  customer_id  bigint NOT NULL,
  handle       text NOT NULL CHECK (handle ~ '^[a-z0-9-]+$'),
  title        text NOT NULL CHECK (title <> ''),
  event_type   text NOT NULL CHECK (event_type IN ('wedding', 'baby', 'birthday', 'housewarming')),
  event_date   date NOT NULL,
  details      jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(details) = 'object'),
  write_number bigint UNIQUE,
  edit_number  bigint UNIQUE,
  created_at   timestamptz NOT NULL DEFAULT now(),
  updated_at   timestamptz NOT NULL DEFAULT now(),
  UNIQUE (shop_id, handle),
  -- A registry belongs to a customer of its own shop, never to one of another.
  FOREIGN KEY (shop_id, customer_id) REFERENCES customers (shop_id, customer_id)
);
CREATE INDEX registries_by_event ON registries (shop_id, event_date);
CREATE INDEX registries_by_details ON registries USING gin (details jsonb_path_ops);

CREATE TABLE items (
  item_id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  registry_id        bigint NOT NULL REFERENCES registries,
  variant            text NOT NULL,
  title              text NOT NULL,
  price_cents        integer NOT NULL CHECK (price_cents >= 0),
  quantity_wanted    integer NOT NULL CHECK (quantity_wanted > 0),
  quantity_purchased integer NOT NULL DEFAULT 0 CHECK (quantity_purchased BETWEEN 0 AND quantity_wanted),
  attributes         jsonb NOT NULL DEFAULT '{}',
  write_number       bigint UNIQUE,
  created_at         timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX items_by_registry ON items (registry_id);
CREATE INDEX items_by_attributes ON items USING gin (attributes);

CREATE TABLE purchases (
  purchase_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  item_id         bigint NOT NULL REFERENCES items,
  registry_id     bigint NOT NULL REFERENCES registries,
  buyer_email     text NOT NULL,
  quantity        integer NOT NULL CHECK (quantity > 0),
  amount_cents    integer NOT NULL CHECK (amount_cents >= 0),
  order_reference text NOT NULL UNIQUE,
  order_details   jsonb NOT NULL DEFAULT '{}',
  write_number    bigint UNIQUE,
  purchased_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX purchases_by_item ON purchases (item_id);
CREATE INDEX purchases_by_registry ON purchases (registry_id);
