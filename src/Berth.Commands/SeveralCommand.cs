using System.CommandLine;
using Berth.Api.Errors;
using Berth.Core.Errors;

namespace Berth.Commands;

/// <summary>A command about several things: each is seen to, one after the other, whatever became of the one
/// before.</summary>
internal abstract class SeveralCommand : Verb
{
    /// <param name="things">How they are named on the command line.</param>
    protected SeveralCommand(
        Argument<string[]> things, string name, string description, params Example[] examples)
        : base(name, description, examples)
    {
        things.Arity = ArgumentArity.OneOrMore;
        Things = things;
        Add(things);
    }

    protected Argument<string[]> Things { get; }

    protected abstract Task SeeToAsync(Session session, string thing, CancellationToken cancellationToken);

    /// <summary>Returns 0, or the exit code of the last refusal; each is told. A server that can't be reached or that
    /// lets nobody in would refuse the rest too: that is thrown.</summary>
    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        int exitCode = 0;
        foreach (string thing in session.Get(Things))
        {
            try
            {
                await SeeToAsync(session, thing, cancellationToken);
                await session.Terminal.Out.FlushAsync(CancellationToken.None);
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
