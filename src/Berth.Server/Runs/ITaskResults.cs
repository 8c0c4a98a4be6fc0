using Berth.Api.Nodes;
using Berth.Core.Runs;
using Berth.Server.Store;

namespace Berth.Server.Runs;

/// <summary>Results of tasks that answer more than the run they were made for.</summary>
internal interface ITaskResults
{
    /// <summary>
    /// An attempt that is the result of an equal run, kept or waited for; null where the task's own program is to run,
    /// whose end is told by <see cref="KeepAsync"/> or <see cref="Forget"/>.
    /// </summary>
    Task<IAttempt?> FindAsync(ClaimedRun claimed, AttemptSpec order, CancellationToken cancellationToken);

    /// <summary>A run that succeeded, with its result stored. Never faults.</summary>
    /// <param name="inlineResult">The result, where it is not spooled.</param>
    Task KeepAsync(Run ended, ReadOnlyMemory<byte> inlineResult);

    /// <summary>The attempt is over, whatever became of it.</summary>
    void Forget(RunId run);
}
