/**
 * The Java side of the processor host. Not for processors: it changes with the engine.
 *
 * <p>The host's Python threads call into the JVM through JPype. Every conversion that JPype makes costs more than the
 * call itself, so nothing is converted: a thread has a {@link eas.host.Lane}, which is a piece of memory that both
 * sides see and one method without arguments.
 */
package eas.host;
