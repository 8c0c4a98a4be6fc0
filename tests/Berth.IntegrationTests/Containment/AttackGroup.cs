namespace Berth.IntegrationTests.Containment;

/// <summary>Attacks of one kind and what each must come to.</summary>
/// <param name="Lines">One attack a line: name, outcomes separated by bars, remark.</param>
/// <param name="AnyRefusal">Whether it is all the same why the kernel refuses: what is there differs between
/// machines.</param>
internal sealed record AttackGroup(string Title, string What, string Lines, bool AnyRefusal = false)
{
    public IReadOnlyList<SystemCallAttack> Attacks { get; } =
        [
            .. Lines.Split('\n', StringSplitOptions.RemoveEmptyEntries)
                .Select(line => SystemCallAttack.Parse(line, AnyRefusal)),
        ];
}

/// <param name="Outcomes">The first is what the machine that the page was written on answers.</param>
internal sealed record SystemCallAttack(
    string Name, IReadOnlyList<string> Outcomes, string Remark, bool AnyRefusal)
{
    private static readonly string[] Refusals = ["EPERM", "EACCES", "EROFS", "ENOENT", "ENODEV", "ENXIO", "EIO"];

    public bool MayBeDone => Outcomes.Contains(SystemCallAttacks.Done);

    public static SystemCallAttack Parse(string line, bool anyRefusal)
    {
        string[] words = line.Split(' ', 3, StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        return new SystemCallAttack(words[0], words[1].Split('|'), words.ElementAtOrDefault(2) ?? "", anyRefusal);
    }

    public bool Expects(string outcome) => Outcomes.Contains(outcome) || (AnyRefusal && Refusals.Contains(outcome));
}
