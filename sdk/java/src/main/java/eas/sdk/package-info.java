/**
 * The native interface of Java processors.
 *
 * <p>A processor implements {@link eas.sdk.Processor}, or {@link eas.sdk.BatchProcessor} when it can answer
 * several requests together. It gets each request with its header fields, its deadline and whether anybody still
 * waits for it, and may answer with a status and header fields of its own.
 *
 * <p>Classes written for the older contract (a constructor that takes two strings, {@code Load()} and
 * {@code Process(byte[])}) need nothing of this package and run as they are.
 */
package eas.sdk;
