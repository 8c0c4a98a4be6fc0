using Berth.Api.Errors;
using Berth.Core.Errors;

namespace Berth.Commands;

/// <summary>Several things named on one command line: each is seen to, one after the other, whatever became of the one
/// before.</summary>
internal static class Several
{
    /// <summary>Returns 0, or the exit code of the last refusal; each is told. A server that can't be reached or that
    /// lets nobody in would refuse the rest too: that is thrown.</summary>
    public static async Task<int> EachAsync(Session session, IReadOnlyList<string> names, Func<string, Task> step)
    {
        int exitCode = 0;
        foreach (string name in names)
        {
            try
            {
                await step(name);
                await session.Terminal.Out.FlushAsync();
            }
            catch (BerthException refusal) when (refusal.Code is not (ErrorCode.Upstream or ErrorCode.Unauthorized))
            {
                session.Terminal.Complain(refusal.Message);
                exitCode = ErrorCatalog.Find(refusal.Code).ExitCode;
            }
        }

        return exitCode;
    }
}
