using System.CommandLine;

namespace Berth.Commands;

/// <summary>A line that a reader can copy, and what it does.</summary>
internal sealed record Example(string Line, string Meaning);

/// <summary>What help pages and the reference are made of; a test holds that every command has all of it.</summary>
internal interface IDocumented
{
    IReadOnlyList<Example> Examples { get; }
}

/// <summary>
/// A command that does something. Its options are fields of the class, its work is <see cref="RunAsync"/>.
/// </summary>
internal abstract class Verb : Command, IDocumented
{
    protected Verb(string name, string description, params Example[] examples)
        : base(name, description)
    {
        Examples = examples;
        SetAction(InvokeAsync);
    }

    public IReadOnlyList<Example> Examples { get; }

    /// <summary>Returns the exit code. Refusals are thrown as BerthException and told in one place.</summary>
    protected abstract Task<int> RunAsync(Session session, CancellationToken cancellationToken);

    private async Task<int> InvokeAsync(ParseResult result, CancellationToken cancellationToken)
    {
        using Session session = new(result, (BerthRoot)result.RootCommandResult.Command);
        return await RunAsync(session, cancellationToken);
    }
}

/// <summary>A noun: only holds the verbs about one thing.</summary>
internal sealed class Noun : Command, IDocumented
{
    public Noun(string name, string description, IReadOnlyList<Example> examples, params IReadOnlyList<Verb> verbs)
        : base(name, description)
    {
        Examples = examples;
        foreach (Verb verb in verbs)
        {
            Add(verb);
        }
    }

    public IReadOnlyList<Example> Examples { get; }
}
