using System.CommandLine;
using Berth.Api.Client;
using Berth.Commands.Contexts;
using Berth.Commands.Terminals;

namespace Berth.Commands;

/// <summary>
/// One invocation of one command: what was asked for, and the server it is about, found when first needed.
/// </summary>
internal sealed class Session(ParseResult result, BerthRoot root) : IDisposable
{
    private ServerTarget? target;
    private BerthClient? client;

    public Terminal Terminal => root.Terminal;

    public Interrupts Interrupts => root.Interrupts;

    public ParseResult Result => result;

    public bool Verbose => result.GetValue(root.Verbose);

    public ServerTarget Target => target ??= FindTarget();

    public BerthClient Client => client ??=
        new BerthClient(Target.Address, Target.Token, Terminal.Time, Handler);

    /// <summary>A new one for each client, which disposes it.</summary>
    public HttpMessageHandler Handler => root.Handler ?? new OneShotHandler();

    public T? Get<T>(Option<T> option) => result.GetValue(option);

    public T Get<T>(Argument<T> argument) => result.GetRequiredValue(argument);

    /// <summary>Tells people something that is no result.</summary>
    public void Say(string text) => Terminal.Error.WriteLine(text);

    /// <summary>Runs what may wait long between two things that it prints; ends it once nobody reads them.</summary>
    public async Task WhileReadAsync(Func<CancellationToken, Task> print, CancellationToken cancellationToken)
    {
        CancellationToken gone = Terminal.WatchOutput();
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, gone);
        try
        {
            await print(either.Token);
        }
        catch (OperationCanceledException) when (gone.IsCancellationRequested)
        {
            throw OutputException.NobodyReads;
        }
    }

    public void Dispose() => client?.Dispose();

    private ServerTarget FindTarget()
    {
        ServerTarget found = ServerTarget.Resolve(Terminal, result.GetValue(root.Host), result.GetValue(root.Context));
        if (Verbose)
        {
            Say($"Server {found.Address} (from {found.AddressSource}), token from {found.TokenSource}.");
        }

        return found;
    }
}
