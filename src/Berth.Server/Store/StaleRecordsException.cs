using Berth.Core.Errors;

namespace Berth.Server.Store;

/// <summary>Another server has changed something of the same kind: nothing was written, and what is in memory has to be
/// read again before it is decided anew.</summary>
public sealed class StaleRecordsException(string topic) : Exception($"Another server has changed the {topic}.")
{
    /// <summary>More than servers that change the same thing at once.</summary>
    private const int Tries = 20;

    /// <summary>Decides and writes, again after each change of another server's.</summary>
    /// <param name="refresh">Reads the records again.</param>
    /// <exception cref="BerthException">Conflict: others change them all the time.</exception>
    public static async Task<T> RetryAsync<T>(
        Func<Task<T>> change, Func<CancellationToken, Task> refresh, CancellationToken cancellationToken)
    {
        for (int tries = 1; ; tries++)
        {
            try
            {
                return await change();
            }
            catch (StaleRecordsException stale)
            {
                if (tries == Tries)
                {
                    throw new BerthException(
                        ErrorCode.Conflict, $"{stale.Message} That happened {Tries} times in a row: try again.", stale);
                }

                await refresh(cancellationToken);
            }
        }
    }
}
