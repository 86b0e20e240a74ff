/**
 * Patroni with etcd and PostgreSQL 18, on machines that are namespaces of processes.
 *
 * What is configured is what docs/guides/patroni.md tells, save for the shortest times that Patroni accepts. It runs as root on Debian only.
 */
export { type PatroniCluster, type PatroniNode, type PatroniOptions, startPatroniCluster } from './cluster.ts';
export { whyNoPatroni } from './tools.ts';
