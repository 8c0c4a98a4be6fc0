using System.Text.Json;
using Berth.Api.Links;
using Berth.Core.Networks;

namespace Berth.Server.Networks;

/// <summary>What can be found on the server's own machine, for the other servers: the last that is known, and when it
/// is another. Thread-safe.</summary>
internal sealed class PresenceFeed
{
    private readonly Lock gate = new();
    private byte[] report = Write([]);
    private TaskCompletionSource changed = New();

    /// <summary>A <see cref="PresenceReport"/>, and what is completed once there is another.</summary>
    public (byte[] Report, Task Changed) Now
    {
        get
        {
            lock (gate)
            {
                return (report, changed.Task);
            }
        }
    }

    /// <returns>False where it is more than can be told: what was told last stays.</returns>
    public bool Tell(IReadOnlyList<NetworkPresence> present)
    {
        byte[] told = Write(present);
        TaskCompletionSource before;
        lock (gate)
        {
            if (told.AsSpan().SequenceEqual(report))
            {
                return true;
            }

            if (told.Length > LinkProtocol.MaxOrder)
            {
                return false;
            }

            report = told;
            (before, changed) = (changed, New());
        }

        before.SetResult();
        return true;
    }

    private static byte[] Write(IReadOnlyList<NetworkPresence> present) => JsonSerializer.SerializeToUtf8Bytes(
        PresenceReport.Of(present), NetworkLinkJson.Default.PresenceReport);

    private static TaskCompletionSource New() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
