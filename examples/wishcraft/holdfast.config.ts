/**
 * WishCraft's plan, mended: what its document promises (`as-written.config.ts`) without what contradicts itself there. The people are offices at
 * a domain that is reserved for examples; a real plan names real ones.
 */
import { definePlan } from 'holdfast';

/** Where the application is served. */
const site = 'https://wishcraft.example';

export default definePlan({
  clusters: [
    {
      name: 'wishcraft',
      connection: { env: 'DATABASE_URL' },
      providers: ['self-hosted'],
      region: 'eu-central-1',
      // A replica that is promoted without having all that was acknowledged would break the promise of no loss, so a person says yes.
      failover: 'by-hand',
      settings: {
        wal_level: 'replica',
        // Four replicas, the receiver, a backup, and as many again to spare.
        max_wal_senders: 12,
        wal_keep_size: '1600MB',
      },
    },
  ],

  repository: {
    primary: { location: { env: 'HOLDFAST_REPOSITORY' }, lock: '35d' },
    copies: [{ name: 'west', location: { env: 'HOLDFAST_REPOSITORY_WEST' }, required: true, lock: '35d' }],
    keyFile: '/etc/holdfast/wishcraft.key',
  },

  // A month of 99.5 % bears 3 hours and 36 minutes: one recovery of an hour, and what happens besides. 99.9 % would bear 43 minutes.
  objectives: { rto: '1h', rpo: '15m', availability: 99.5, detection: '2m', decision: '5m' },

  dataSets: [
    {
      name: 'customer-registry',
      title: 'Customer registry data',
      cluster: 'wishcraft',
      tables: ['shops', 'customers', 'registries', 'items', 'purchases'],
      maxLoss: '0s',
    },
    {
      name: 'performance-metrics',
      title: 'Performance metrics',
      cluster: 'wishcraft',
      tables: ['metrics'],
      maxLoss: '15m',
    },
    { name: 'system-configuration', title: 'System configurations', kind: 'configuration', maxLoss: '1d' },
    { name: 'application-code', title: 'Application code', kind: 'code', maxLoss: '5m' },
  ],

  functions: [
    {
      name: 'gdpr-webhooks',
      title: 'GDPR webhook processing',
      priority: 1,
      rto: '5m',
      rpo: '0s',
      dataSets: ['customer-registry'],
      probes: ['health'],
      // Back within five minutes although the database takes longer: what arrives is kept, and worked off once later.
      fallback: 'durable-inbox',
    },
    {
      name: 'registry-access',
      title: 'Customer registry access',
      priority: 2,
      rto: '15m',
      rpo: '0s',
      dataSets: ['customer-registry'],
      probes: ['app', 'registry-db'],
      fallback: 'read-only-replica',
    },
    {
      name: 'registry-management',
      title: 'Registry creation and management',
      priority: 3,
      rto: '30m',
      rpo: '0s',
      dataSets: ['customer-registry'],
      probes: ['registry-write'],
    },
    {
      name: 'performance-monitoring',
      title: 'Performance monitoring',
      priority: 4,
      rto: '1h',
      rpo: '15m',
      dataSets: ['performance-metrics'],
      probes: ['performance'],
    },
  ],

  scenarios: [
    {
      name: 'database-failure',
      title: 'Database failure',
      probability: 'low',
      impact: 'high',
      strikes: 'database',
      rto: '30m',
      // A synchronous replica has every commit that was acknowledged.
      rpo: '0s',
      method: 'failover',
      approach: 'A synchronous replica becomes the primary; when both are lost, the newest backup and its WAL.',
      drillEvery: '155d',
      steps: [
        { does: 'Make sure that the primary is lost, and keep it from taking writes.', role: 'technical-lead' },
        { does: 'Promote the synchronous replica that has the most.', role: 'database-administrator', milestone: true },
        { does: 'Point the application at it.', role: 'operations-lead' },
        { does: 'See every probe green, and end the maintenance page.', role: 'incident-commander', milestone: true },
      ],
    },
    {
      name: 'application-outage',
      title: 'Application server outage',
      probability: 'low',
      impact: 'high',
      strikes: 'application',
      rto: '15m',
      rpo: '0s',
      method: 'redeploy',
      approach: 'The last deployment that was green is promoted, without a build.',
      drillEvery: '155d',
      steps: [
        { does: 'Promote the last deployment that was green.', role: 'operations-lead', milestone: true },
        { does: 'See every probe green.', role: 'incident-commander' },
      ],
    },
    {
      name: 'third-party-failure',
      title: 'Third-party service failure',
      probability: 'medium',
      impact: 'medium',
      strikes: 'third-party',
      rto: '1h',
      rpo: '15m',
      method: 'other-provider',
      approach: 'The newest backup and its WAL, on a server of another provider.',
      drillEvery: '155d',
      steps: [
        {
          does: 'Restore the newest backup and its WAL on a server of another provider.',
          command: 'holdfast restore --cluster wishcraft --into /var/lib/postgresql/restored --start',
          role: 'database-administrator',
          milestone: true,
        },
        { does: 'Point the application at it.', role: 'operations-lead' },
        { does: 'See every probe green.', role: 'incident-commander', milestone: true },
      ],
    },
    {
      name: 'regional-outage',
      title: 'Regional outage',
      probability: 'very-low',
      impact: 'very-high',
      strikes: 'region',
      rto: '1h',
      rpo: '15m',
      method: 'failover',
      approach: 'The replica in the other region becomes the primary, and the application is served from there.',
      drillEvery: '155d',
      steps: [
        { does: 'Decide that the region is lost, and fence it off.', role: 'incident-commander' },
        { does: 'Promote the replica in the other region.', role: 'database-administrator', milestone: true },
        { does: 'Deploy the application there, and move the names to it.', role: 'operations-lead', milestone: true },
        { does: 'See every probe green.', role: 'incident-commander', milestone: true },
      ],
    },
    {
      name: 'data-corruption',
      title: 'Data corruption',
      probability: 'very-low',
      impact: 'high',
      strikes: 'data',
      rto: '1h',
      rpo: '15m',
      method: 'point-in-time',
      approach: 'The moment before the damage is restored beside the damaged server, which is kept.',
      drillEvery: '155d',
      steps: [
        { does: 'Show the maintenance page, and stop all writes.', role: 'operations-lead' },
        {
          does: 'Find the moment before the damage.',
          command: 'holdfast wal commits --cluster wishcraft',
          role: 'database-administrator',
        },
        {
          does: 'Restore that moment into a new place.',
          command: 'holdfast restore --cluster wishcraft --to MOMENT --into /var/lib/postgresql/restored --start',
          role: 'database-administrator',
          milestone: true,
        },
        { does: 'Compare it with the damaged server, and take over what is good there.', role: 'technical-lead' },
        {
          does: 'Point the application at it, and see every probe green.',
          role: 'incident-commander',
          milestone: true,
        },
      ],
    },
  ],

  schedules: [
    { name: 'daily-full', job: 'full', when: '0 2 * * *' },
    { name: 'increments', job: 'increment', when: 'every 15m' },
    { name: 'wal', job: 'wal', when: 'continuous' },
    { name: 'weekly-snapshot', job: 'full', when: '0 3 * * 0', tags: ['weekly-snapshot'] },
    { name: 'daily-application', job: 'application', when: '30 2 * * *' },
    { name: 'daily-prune', job: 'prune', when: '0 5 * * *' },
  ],

  // One set of rules for every place; the application's own scripts delete nothing. The newest snapshot of each of eight years, as the one of seven years ago was
  // made up to a year after that day.
  retention: {
    default: { keepWithin: '2d', daily: 30, weekly: 12, monthly: 12, yearly: 8, keepAtLeast: 3, wal: '30d' },
  },

  verification: {
    scrub: { when: 'every 1h', newWithin: '1h', period: '30d' },
    // Two depths: the newest backup every day, a random moment with the application's probes every week.
    restoreTests: [
      { name: 'daily-restore', title: 'Automated backup testing', when: '0 4 * * *', depth: 'newest' },
      { name: 'weekly-restore', title: 'Restoration testing', when: '0 6 * * 0', depth: 'random-moment' },
    ],
    invariants: [
      {
        name: 'no-orphaned-item',
        query: 'SELECT i.item_id FROM items i LEFT JOIN registries r USING (registry_id) WHERE r.registry_id IS NULL',
      },
      { name: 'no-oversold-item', query: 'SELECT item_id FROM items WHERE quantity_purchased > quantity_wanted' },
    ],
  },

  // Each as close to its schedule as it can be told from a delay: a day and an hour for fulls, a quarter of an hour and five minutes for increments.
  thresholds: {
    backupAge: '25h',
    incrementAge: '20m',
    walAge: '1m',
    replicaLag: '30s',
    copyLag: '5m',
    storageUsed: 85,
    storageLasts: '30d',
  },

  // Two synchronous replicas, of which any one may be away without a commit waiting or being lost.
  replicas: [
    {
      name: 'replica-1',
      cluster: 'wishcraft',
      region: 'eu-central-1',
      purpose: 'Reads, and the next primary',
      mode: 'synchronous',
      whenAway: 'block',
      maxLag: '30s',
    },
    {
      name: 'replica-2',
      cluster: 'wishcraft',
      region: 'eu-central-1',
      purpose: 'Reads, and the next primary but one',
      mode: 'synchronous',
      whenAway: 'block',
      maxLag: '30s',
    },
    {
      name: 'replica-3',
      cluster: 'wishcraft',
      region: 'eu-west-1',
      purpose: 'Disaster recovery in another region',
      mode: 'asynchronous',
      maxLag: '30s',
    },
    {
      name: 'analytics',
      cluster: 'wishcraft',
      region: 'eu-central-1',
      purpose: 'Reporting',
      mode: 'asynchronous',
      maxLag: '30s',
      mayBePrimary: false,
    },
  ],

  application: {
    configuration: ['vercel.json', 'package.json', 'package-lock.json', 'scripts/', '**/*.md', '.env.example'],
    secrets: [
      { name: 'SHOPIFY_API_SECRET', value: { env: 'SHOPIFY_API_SECRET' } },
      { name: 'SESSION_SECRET', value: { env: 'SESSION_SECRET' } },
    ],
    repositories: [
      {
        name: 'code',
        url: 'https://git.wishcraft.example/wishcraft.git',
        token: { env: 'GIT_READ_TOKEN' },
        // As close as continuous mirroring comes.
        mirrorLag: '1m',
        protectedBranches: ['main', 'release/*'],
        mirrors: [
          {
            name: 'gitlab',
            url: 'https://gitlab.wishcraft.example/wishcraft.git',
            token: { env: 'GITLAB_WRITE_TOKEN' },
            when: 'continuous',
          },
          {
            name: 'bitbucket',
            url: 'https://bitbucket.wishcraft.example/wishcraft.git',
            token: { env: 'BITBUCKET_WRITE_TOKEN' },
            when: 'continuous',
          },
        ],
        bundle: '0 1 * * 0',
      },
    ],
    deployments: [
      {
        name: 'production',
        provider: 'vercel',
        project: 'wishcraft',
        url: site,
        repository: 'code',
        token: { env: 'VERCEL_READ_TOKEN' },
        when: '30 2 * * *',
        failover: 'by-hand',
        dns: ['wishcraft.example'],
      },
    ],
  },

  probes: [
    { name: 'health', url: `${site}/health` },
    { name: 'performance', url: `${site}/performance` },
    // Without a token it answers as an embedded application does.
    { name: 'app', url: `${site}/app`, expectStatus: [302] },
    { name: 'registry-db', url: `${site}/api/registry-db`, token: { env: 'PROBE_TOKEN' } },
    {
      name: 'registry-write',
      command: 'scripts/probe-registry-write.sh',
      writes: true,
      every: '1m',
      timeout: '20s',
    },
  ],

  channels: [
    { name: 'incident-response', kind: 'slack', address: '#incident-response', secret: { env: 'SLACK_WEBHOOK' } },
    { name: 'team', kind: 'email', address: 'team@wishcraft.example', secret: { env: 'SMTP_PASSWORD' } },
    { name: 'pager', kind: 'pager', address: 'wishcraft-on-call', secret: { env: 'PAGER_KEY' } },
    { name: 'status-page', kind: 'status-page', address: 'https://status.wishcraft.example' },
    { name: 'customers', kind: 'email', address: 'support@wishcraft.example', secret: { env: 'SMTP_PASSWORD' } },
  ],

  routes: [
    {
      name: 'urgent',
      events: [
        'backup-failed',
        'backup-old',
        'wal-behind',
        'wal-gap',
        'damage-found',
        'verification-failed',
        'restore-test-failed',
        'probe-red',
        'agent-silent',
      ],
      channels: ['pager', 'incident-response'],
      otherwise: 'team',
      escalation: 'on-call',
    },
    {
      name: 'soon',
      events: ['copy-behind', 'replica-behind', 'storage-full', 'duty-overdue'],
      channels: ['incident-response', 'team'],
      otherwise: 'pager',
    },
  ],

  contacts: [
    {
      name: 'commander',
      title: 'Incident Commander',
      phone: '+1 202 555 0101',
      email: 'incident-commander@wishcraft.example',
    },
    { name: 'technical', title: 'Technical Lead', phone: '+1 202 555 0102', email: 'technical-lead@wishcraft.example' },
    { name: 'database', title: 'Database Administrator', phone: '+1 202 555 0103', email: 'dba@wishcraft.example' },
    { name: 'operations', title: 'Operations Lead', phone: '+1 202 555 0104', email: 'operations@wishcraft.example' },
    {
      name: 'communication',
      title: 'Communication Lead',
      phone: '+1 202 555 0105',
      email: 'communication@wishcraft.example',
    },
    { name: 'cto', title: 'CTO', phone: '+1 202 555 0106', email: 'cto@wishcraft.example' },
    {
      name: 'vp-engineering',
      title: 'VP Engineering',
      phone: '+1 202 555 0107',
      email: 'vp-engineering@wishcraft.example',
    },
    {
      name: 'customer-success',
      title: 'Customer Success Lead',
      phone: '+1 202 555 0108',
      email: 'customer-success@wishcraft.example',
    },
    { name: 'sales', title: 'Sales Lead', phone: '+1 202 555 0109', email: 'sales@wishcraft.example' },
    { name: 'board', title: 'Chair of the Board', phone: '+1 202 555 0110', email: 'board@wishcraft.example' },
  ],

  roles: [
    {
      name: 'incident-commander',
      title: 'Incident Commander',
      duties: [
        'Overall recovery coordination',
        'Stakeholder communication',
        'Decision making authority',
        'Recovery timeline management',
      ],
      contact: 'commander',
      deputy: 'technical',
    },
    {
      name: 'technical-lead',
      title: 'Technical Lead',
      duties: [
        'System restoration execution',
        'Technical troubleshooting',
        'Recovery procedure implementation',
        'System validation',
      ],
      contact: 'technical',
      deputy: 'database',
    },
    {
      name: 'database-administrator',
      title: 'Database Administrator',
      duties: [
        'Database recovery operations',
        'Data integrity verification',
        'Performance optimization',
        'Backup management',
      ],
      contact: 'database',
      deputy: 'operations',
    },
    {
      name: 'operations-lead',
      title: 'Operations Lead',
      duties: [
        'Infrastructure coordination',
        'Monitoring and alerting',
        'Performance validation',
        'Service status updates',
      ],
      contact: 'operations',
      deputy: 'database',
    },
    {
      name: 'communication-lead',
      title: 'Communication Lead',
      duties: ['Customer communication', 'Status page updates', 'Internal notifications', 'Post-incident reporting'],
      contact: 'communication',
      deputy: 'customer-success',
    },
  ],

  escalations: [
    {
      name: 'on-call',
      steps: [
        { call: 'operations-lead', after: '0s' },
        { call: 'incident-commander', after: '5m' },
        { call: 'cto', after: '10m' },
        { call: 'vp-engineering', after: '10m' },
        { call: 'customer-success', after: '10m' },
      ],
    },
  ],

  communication: [
    {
      name: 'team-notification',
      on: 'detected',
      audience: 'the team',
      within: '1m',
      channels: ['incident-response', 'team'],
      role: 'incident-commander',
    },
    {
      name: 'status-updates',
      on: 'recovery-begun',
      audience: 'the team',
      every: '15m',
      channels: ['incident-response'],
      role: 'incident-commander',
    },
    {
      name: 'milestones',
      on: 'milestone',
      audience: 'the executive team',
      within: '5m',
      contacts: ['cto', 'vp-engineering'],
      role: 'communication-lead',
    },
    {
      name: 'team-briefing',
      on: 'recovery-ended',
      audience: 'the full team',
      within: '1d',
      channels: ['team'],
      role: 'incident-commander',
    },
    {
      name: 'disruption',
      on: 'outage-begun',
      audience: 'customers',
      within: '30m',
      // Functions are promised back in less time than that: whoever was without one is told all the same.
      ifResolvedEarlier: 'tell-at-resolution',
      channels: ['status-page', 'customers'],
      role: 'communication-lead',
    },
    {
      name: 'progress',
      on: 'recovery-begun',
      audience: 'customers',
      every: '1h',
      channels: ['status-page', 'customers'],
      role: 'communication-lead',
    },
    {
      name: 'service-restored',
      on: 'restored',
      audience: 'customers',
      within: '5m',
      channels: ['status-page', 'customers'],
      role: 'communication-lead',
    },
    {
      name: 'post-mortem',
      on: 'restored',
      audience: 'customers',
      within: '48h',
      channels: ['status-page'],
      role: 'communication-lead',
    },
    {
      name: 'executives',
      on: 'detected',
      audience: 'CEO and CTO',
      within: '5m',
      // With the time of noticing it is later than the first function may be back.
      ifResolvedEarlier: 'tell-at-resolution',
      severities: ['sev-1'],
      contacts: ['cto'],
      role: 'incident-commander',
    },
    {
      name: 'customer-success',
      on: 'detected',
      audience: 'Customer Success',
      within: '15m',
      ifResolvedEarlier: 'tell-at-resolution',
      contacts: ['customer-success'],
      role: 'communication-lead',
    },
    {
      name: 'sales',
      on: 'detected',
      audience: 'the sales team',
      within: '30m',
      ifResolvedEarlier: 'tell-at-resolution',
      contacts: ['sales'],
      role: 'communication-lead',
    },
    {
      name: 'board',
      on: 'outage-begun',
      audience: 'the board of directors',
      within: '0s',
      ifOutFor: '4h',
      contacts: ['board'],
      role: 'communication-lead',
    },
  ],

  checklists: [
    {
      name: 'daily',
      title: 'Daily operations',
      every: 'day',
      items: [
        {
          name: 'backup-verification',
          does: 'See that the backups of the night are verified.',
          role: 'operations-lead',
        },
        { name: 'storage-monitoring', does: 'See what is used and free in every store.', role: 'operations-lead' },
        { name: 'replication-status', does: 'See how far each replica is behind.', role: 'operations-lead' },
        { name: 'system-health', does: 'See that the agent and its schedules are alive.', role: 'operations-lead' },
        { name: 'alert-review', does: 'Acknowledge every alarm since yesterday.', role: 'operations-lead' },
      ],
    },
    {
      name: 'weekly',
      title: 'Weekly operations',
      every: 'week',
      items: [
        {
          name: 'backup-restoration-test',
          does: 'Read the report of the weekly restore test.',
          role: 'database-administrator',
        },
        { name: 'cross-region-sync', does: 'Compare the copies with the primary.', role: 'database-administrator' },
        { name: 'documentation-review', does: 'Read the runbooks, and sign them.', role: 'technical-lead' },
        { name: 'team-training', does: 'Go through one runbook with the team.', role: 'incident-commander' },
        {
          name: 'compliance-audit',
          does: 'Check encryption, retention, access and the ledger.',
          role: 'technical-lead',
        },
      ],
    },
    {
      name: 'monthly',
      title: 'Monthly operations',
      every: 'month',
      items: [
        { name: 'full-recovery-test', does: 'Read the report of the technical simulation.', role: 'technical-lead' },
        { name: 'backup-retention', does: 'Read what went, what is held, and why.', role: 'database-administrator' },
        {
          name: 'security-review',
          does: 'Go through who can reach stores, servers and hosts.',
          role: 'operations-lead',
        },
        {
          name: 'performance-analysis',
          does: 'Compare times with promises, and their growth.',
          role: 'technical-lead',
        },
        {
          name: 'process-improvement',
          does: 'Close what is open of drills and incidents.',
          role: 'incident-commander',
        },
      ],
    },
    {
      name: 'quarterly',
      title: 'Quarterly operations',
      every: 'quarter',
      items: [
        { name: 'disaster-recovery-drill', does: 'Hold the drill with people.', role: 'incident-commander' },
        {
          name: 'business-continuity-review',
          does: 'Compare promises with measured times.',
          role: 'incident-commander',
        },
        { name: 'vendor-assessment', does: 'Assess each vendor.', role: 'operations-lead' },
        { name: 'compliance-audit', does: 'Give the evidence to the external auditor.', role: 'technical-lead' },
        { name: 'strategic-planning', does: 'Decide on capacity, cost and risk.', role: 'incident-commander' },
      ],
    },
  ],

  // Every month machines alone go through one scenario; every quarter people do, with their messages and deadlines.
  drills: [
    { name: 'full-recovery-test', when: '0 9 1 * *', scope: 'technical' },
    { name: 'disaster-recovery-drill', when: '0 9 15 1,4,7,10 *', scope: 'with-people' },
  ],

  vendors: [
    {
      name: 'vercel',
      service: 'Serving the application',
      contact: 'support@vercel.example',
      account: 'wishcraft',
      supportLevel: 'enterprise',
      statusPage: 'https://status.vercel.example',
    },
    {
      name: 'hosting',
      service: 'Servers of the database',
      contact: 'support@hosting.example',
      account: 'wishcraft-production',
      supportLevel: 'around the clock',
      statusPage: 'https://status.hosting.example',
    },
    {
      name: 'object-storage',
      service: 'The stores of the repository',
      contact: 'support@storage.example',
      account: 'wishcraft-backups',
      supportLevel: 'around the clock',
      statusPage: 'https://status.storage.example',
    },
    {
      name: 'dns',
      service: 'The names of the service',
      contact: 'support@dns.example',
      account: 'wishcraft',
      supportLevel: 'business',
      statusPage: 'https://status.dns.example',
    },
  ],

  compliance: {
    requirements: [
      {
        name: 'gdpr',
        title: 'GDPR',
        demands: 'Personal data are backed up, kept no longer than needed, and erased on request.',
      },
      { name: 'built-for-shopify', title: 'Built for Shopify', demands: 'The service goes on.' },
      { name: 'soc-2', title: 'SOC 2 Type II', demands: 'An audit trail of every backup, restore and deletion.' },
    ],
    retentionClasses: [
      {
        name: 'seven-years',
        keepFor: '7y',
        why: 'The retention that the business has to keep to.',
        dataSets: ['customer-registry'],
      },
    ],
    personalData: [
      {
        name: 'registry-customers',
        dataSet: 'customer-registry',
        subjects: 'Customers of the shops, and their guests',
        categories: ['name', 'e-mail address', 'gifts and purchases'],
        purpose: 'Gift registries, and the records that the law asks for',
        basis: 'Contract, and a legal obligation for the records',
        keepFor: '8y',
        erasure: 'reapplied',
      },
    ],
  },
});
