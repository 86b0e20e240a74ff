/**
 * WishCraft's plan as its document (PLAN.md) has it: every number of it, with the section in which it stands, its contradictions and its placeholders
 * included. `holdfast.config.ts` beside it is the plan as it was mended. Where the document names a day or a week but no hour, midnight stands here.
 */
import { definePlan } from 'holdfast';

export default definePlan({
  // "Database Backup Strategy", "Automated Backup Configuration" and "Point-in-Time Recovery Setup"; automatic failover: "Real-Time Data Replication".
  clusters: [
    {
      name: 'wishcraft',
      connection: { env: 'DATABASE_URL' },
      providers: ['neon', 'supabase', 'heroku'],
      failover: 'automatic',
      settings: {
        wal_level: 'replica',
        archive_mode: 'on',
        archive_command: 'aws s3 cp %p s3://wishcraft-wal-archive/%f',
        max_wal_senders: 3,
        wal_keep_segments: 100,
      },
    },
  ],

  // "Database Backup Scripts": where they write, and where they would upload to.
  repository: {
    primary: '/backups/wishcraft',
    copies: [{ name: 's3', location: 's3://wishcraft-backups/database' }],
    passphrase: { env: 'HOLDFAST_PASSPHRASE' },
  },

  // The head of the document.
  objectives: { rto: '1h', rpo: '15m', availability: 99.9 },

  // "Business Continuity Requirements", "Data Protection Requirements".
  dataSets: [
    { name: 'customer-registry', title: 'Customer registry data', cluster: 'wishcraft', maxLoss: '0s' },
    { name: 'performance-metrics', title: 'Performance metrics', cluster: 'wishcraft', maxLoss: '15m' },
    { name: 'system-configuration', title: 'System configurations', kind: 'configuration' },
    { name: 'application-code', title: 'Application code', kind: 'code' },
  ],

  // "Business Continuity Requirements", "Critical Business Functions".
  functions: [
    {
      name: 'registry-management',
      title: 'Registry creation and management',
      rto: '30m',
      dataSets: ['customer-registry'],
    },
    { name: 'registry-access', title: 'Customer registry access', rto: '15m', dataSets: ['customer-registry'] },
    {
      name: 'performance-monitoring',
      title: 'Performance monitoring',
      rto: '1h',
      dataSets: ['performance-metrics'],
      probes: ['performance'],
    },
    { name: 'gdpr-webhooks', title: 'GDPR webhook processing', rto: '5m', dataSets: ['customer-registry'] },
  ],

  // "Disaster Recovery Scenarios"; the steps are those of "Disaster Recovery Procedures", whose scenarios 1 and 2 are other ones than those of the overview.
  scenarios: [
    {
      name: 'database-failure',
      title: 'Database Failure',
      probability: 'low',
      impact: 'high',
      strikes: 'database',
      rto: '30m',
      rpo: '5m',
      method: 'restore',
      approach: 'Database restoration from backup',
    },
    {
      name: 'application-outage',
      title: 'Application Server Outage',
      probability: 'low',
      impact: 'high',
      strikes: 'application',
      rto: '15m',
      rpo: '0s',
      method: 'provider',
      approach: 'Vercel automatic failover',
    },
    {
      name: 'third-party-failure',
      title: 'Third-Party Service Failure',
      probability: 'medium',
      impact: 'medium',
      strikes: 'third-party',
      rto: '1h',
      rpo: '15m',
      method: 'provider',
      approach: 'Service provider restoration + backup data',
    },
    {
      name: 'regional-outage',
      title: 'Regional Outage',
      probability: 'very-low',
      impact: 'very-high',
      strikes: 'region',
      rto: '2h',
      rpo: '15m',
      method: 'failover',
      approach: 'Cross-region failover',
    },
    {
      name: 'data-corruption',
      title: 'Data Corruption',
      probability: 'very-low',
      impact: 'high',
      strikes: 'data',
      rto: '1h',
      rpo: '1h',
      method: 'point-in-time',
      approach: 'Point-in-time backup restoration',
      // "Scenario 1: Database Corruption Recovery".
      steps: [
        { does: 'Assess the damage by a dump of the schema.' },
        { does: 'Stop the traffic of the application: MAINTENANCE_MODE=true.' },
        { does: 'Restore the newest backup, or go back to 30 minutes ago.' },
        { does: 'Verify the recovery by counting the registries.' },
        { does: 'Resume the traffic of the application.' },
      ],
    },
  ],

  // "Automated Backup Configuration", "Backup Frequency"; the cron line is that of "Daily Backup Automation".
  schedules: [
    { name: 'daily-full', job: 'full', when: '0 2 * * *' },
    { name: 'increments', job: 'increment', when: 'every 15m' },
    { name: 'wal-archiving', job: 'wal', when: 'continuous' },
    { name: 'weekly-snapshot', job: 'full', when: '0 0 * * 0', tags: ['weekly-snapshot'] },
    { name: 'daily-application', job: 'application', when: '0 2 * * *' },
  ],

  retention: {
    // "Automated Backup Configuration", "Backup Retention".
    default: { daily: 30, weekly: 12, monthly: 12, yearly: 7 },
    // "Database Backup Scripts": what the script deletes from its directory.
    copies: { primary: { keepWithin: '30d' } },
  },

  // "Automated Backup Configuration", "Backup Verification"; the Sunday is that of "Backup Health Monitoring".
  verification: {
    scrub: { when: 'every 1h' },
    restoreTests: [
      { name: 'backup-testing', title: 'Automated backup testing', when: '0 0 * * *' },
      { name: 'restoration-testing', title: 'Restoration testing', when: '0 0 * * 0' },
    ],
  },

  // "Backup Health Monitoring"; the lag: "Real-Time Data Replication".
  thresholds: { backupAge: '25h', storageUsed: 85, replicaLag: '30s' },

  // "Real-Time Data Replication", "Database Replication" and "Replication Configuration".
  replicas: [
    { name: 'replica-1', region: 'same region', purpose: 'Read-only replica', mode: 'synchronous', maxLag: '30s' },
    {
      name: 'replica-2',
      region: 'other region',
      purpose: 'Cross-region replica (disaster recovery)',
      mode: 'asynchronous',
      maxLag: '30s',
    },
    { name: 'replica-3', purpose: 'Analytics replica (reporting)', mode: 'asynchronous', maxLag: '30s' },
  ],

  application: {
    // "Application State Backup".
    configuration: ['vercel.json', 'package.json', 'scripts/', '*.md', '.env.example'],
    // "Code Repository Backup".
    repositories: [
      {
        name: 'code',
        url: 'https://github.com/[owner]/[repository]',
        mirrorLag: '0s',
        protectedBranches: ['[all critical branches]'],
        mirrors: [
          { name: 'gitlab', url: 'https://gitlab.com/[owner]/[repository]', when: 'every 1d' },
          { name: 'bitbucket', url: 'https://bitbucket.org/[owner]/[repository]', when: 'every 1d' },
        ],
        bundle: 'every 7d',
      },
    ],
    // "Application State Backup", "Scenario 2: Complete System Recovery".
    deployments: [
      {
        name: 'production',
        provider: 'vercel',
        url: 'https://your-domain.vercel.app',
        repository: 'code',
        when: '0 2 * * *',
        failover: 'automatic',
      },
    ],
  },

  // "Scenario 2: Complete System Recovery", step 5.
  probes: [
    { name: 'health', url: 'https://your-domain.vercel.app/health', expectStatus: [200] },
    { name: 'performance', url: 'https://your-domain.vercel.app/performance', expectStatus: [200] },
    { name: 'app', url: 'https://your-domain.vercel.app/app', expectStatus: [200] },
    { name: 'registry-db', url: 'https://your-domain.vercel.app/api/registry-db', expectStatus: [200] },
  ],

  // "Recovery Communication Plan", "Communication Channels"; the issue: "Daily Backup Automation".
  channels: [
    {
      name: 'slack',
      kind: 'slack',
      address: '#incident-response',
      secret: { env: 'SLACK_WEBHOOK' },
    },
    { name: 'team', kind: 'email', address: 'team@wishcraft.app' },
    { name: 'status-page', kind: 'status-page', address: 'status.wishcraft.app' },
    { name: 'customers', kind: 'email', address: 'support@wishcraft.app' },
    { name: 'issues', kind: 'github-issue', address: '[owner]/[repository]', title: 'Backup Failure Alert' },
  ],

  // "Daily Backup Automation" opens an issue, "Backup Health Monitoring" writes to Slack.
  routes: [
    { name: 'backup-failed', events: ['backup-failed'], channels: ['issues'] },
    { name: 'backup-old', events: ['backup-old'], channels: ['slack'] },
  ],

  // "Emergency Contacts".
  contacts: [
    { name: 'incident-commander', title: '[Name]', phone: '[Phone]', email: '[Email]' },
    { name: 'technical-lead', title: '[Name]', phone: '[Phone]', email: '[Email]' },
    { name: 'database-admin', title: '[Name]', phone: '[Phone]', email: '[Email]' },
    { name: 'operations-lead', title: '[Name]', phone: '[Phone]', email: '[Email]' },
    { name: 'cto', title: 'CTO', otherwise: '[Contact Information]' },
    { name: 'vp-engineering', title: 'VP Engineering', otherwise: '[Contact Information]' },
    { name: 'customer-success-lead', title: 'Customer Success Lead', otherwise: '[Contact Information]' },
  ],

  // "Recovery Team Roles".
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
      contact: 'incident-commander',
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
      contact: 'technical-lead',
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
      contact: 'database-admin',
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
      contact: 'operations-lead',
    },
    {
      name: 'communication-lead',
      title: 'Communication Lead',
      duties: ['Customer communication', 'Status page updates', 'Internal notifications', 'Post-incident reporting'],
    },
  ],

  // "Escalation Contacts".
  escalations: [
    { name: 'escalation', steps: [{ call: 'cto' }, { call: 'vp-engineering' }, { call: 'customer-success-lead' }] },
  ],

  // "Recovery Communication Plan".
  communication: [
    // "Internal Communication".
    {
      name: 'team-notification',
      on: 'detected',
      audience: 'the team',
      within: '0s',
      channels: ['slack', 'team'],
    },
    { name: 'status-updates', on: 'recovery-begun', audience: 'the team', every: '15m', channels: ['slack', 'team'] },
    { name: 'milestones', on: 'milestone', audience: 'the executive team', within: '0s' },
    { name: 'team-briefing', on: 'recovery-ended', audience: 'the full team' },
    // "External Communication".
    {
      name: 'disruption',
      on: 'outage-begun',
      audience: 'customers',
      within: '30m',
      channels: ['status-page', 'customers'],
    },
    {
      name: 'progress',
      on: 'recovery-begun',
      audience: 'customers',
      every: '1h',
      channels: ['status-page', 'customers'],
    },
    {
      name: 'service-restored',
      on: 'restored',
      audience: 'customers',
      within: '0s',
      channels: ['status-page', 'customers'],
    },
    { name: 'post-mortem', on: 'restored', audience: 'customers', within: '48h', channels: ['status-page'] },
    // "Stakeholder Notifications".
    { name: 'executives', on: 'detected', audience: 'CEO and CTO', within: '0s', severities: ['sev-1'] },
    { name: 'customer-success', on: 'detected', audience: 'Customer Success', within: '15m' },
    { name: 'sales', on: 'detected', audience: 'the sales team', within: '30m' },
    { name: 'board', on: 'outage-begun', audience: 'the board of directors', within: '0s', ifOutFor: '4h' },
  ],

  // "Backup & Recovery Checklist".
  checklists: [
    {
      name: 'daily',
      title: 'Daily Operations Checklist',
      every: 'day',
      items: [
        { name: 'backup-verification', does: 'Confirm automated backups completed' },
        { name: 'storage-monitoring', does: 'Check backup storage capacity' },
        { name: 'replication-status', does: 'Verify database replication lag' },
        { name: 'system-health', does: 'Monitor backup system health' },
        { name: 'alert-review', does: 'Check for any backup-related alerts' },
      ],
    },
    {
      name: 'weekly',
      title: 'Weekly Operations Checklist',
      every: 'week',
      items: [
        { name: 'backup-restoration-test', does: 'Test backup restoration process' },
        { name: 'cross-region-sync', does: 'Verify cross-region backup sync' },
        { name: 'documentation-review', does: 'Update recovery procedures' },
        { name: 'team-training', does: 'Review procedures with team' },
        { name: 'compliance-audit', does: 'Verify backup compliance requirements' },
      ],
    },
    {
      name: 'monthly',
      title: 'Monthly Operations Checklist',
      every: 'month',
      items: [
        { name: 'full-recovery-test', does: 'Complete disaster recovery simulation' },
        { name: 'backup-retention', does: 'Clean up expired backups' },
        { name: 'security-review', does: 'Audit backup access controls' },
        { name: 'performance-analysis', does: 'Review backup/restore performance' },
        { name: 'process-improvement', does: 'Update procedures based on learnings' },
      ],
    },
    {
      name: 'quarterly',
      title: 'Quarterly Operations Checklist',
      every: 'quarter',
      items: [
        { name: 'disaster-recovery-drill', does: 'Full-scale recovery exercise' },
        { name: 'business-continuity-review', does: 'Update business continuity plans' },
        { name: 'vendor-assessment', does: 'Review backup service providers' },
        { name: 'compliance-audit', does: 'External backup compliance audit' },
        { name: 'strategic-planning', does: 'Plan backup infrastructure improvements' },
      ],
    },
  ],

  // "Monthly Operations Checklist" and "Quarterly Operations Checklist": the document does not say in what they differ.
  drills: [
    { name: 'full-recovery-test', when: '0 0 1 * *' },
    { name: 'disaster-recovery-drill', when: '0 0 1 1,4,7,10 *' },
  ],

  // "Vendor Emergency Contacts".
  vendors: [
    { name: 'vercel', service: 'Vercel Support', contact: '[Contact Information]' },
    { name: 'database-provider', service: 'Database Provider', contact: '[Contact Information]' },
    { name: 'cloud-storage-provider', service: 'Cloud Storage Provider', contact: '[Contact Information]' },
    { name: 'dns-provider', service: 'DNS Provider', contact: '[Contact Information]' },
  ],

  // "Business Continuity Requirements", "Compliance Requirements".
  compliance: {
    requirements: [
      { name: 'gdpr', title: 'GDPR data protection', demands: 'Comprehensive backup required' },
      { name: 'built-for-shopify', title: 'Built for Shopify compliance', demands: 'Service continuity required' },
      { name: 'soc-2', title: 'SOC 2 Type II', demands: 'Backup audit trail required' },
      { name: 'data-retention', title: 'Data retention', demands: '7-year minimum retention' },
    ],
    retentionClasses: [{ name: 'compliance', keepFor: '7y', why: 'Data retention: 7-year minimum retention' }],
    personalData: [
      {
        name: 'registry-customers',
        dataSet: 'customer-registry',
        subjects: 'Customers of the shops, and their guests',
        categories: ['name', 'e-mail address', 'gifts and purchases'],
        purpose: 'Gift registries',
        basis: 'The document does not say.',
      },
    ],
  },
});
