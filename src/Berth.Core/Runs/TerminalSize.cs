namespace Berth.Core.Runs;

/// <summary>How much a terminal shows.</summary>
/// <param name="Rows">Lines, 1 to 65,535.</param>
/// <param name="Columns">Characters to a line, 1 to 65,535.</param>
public readonly record struct TerminalSize(ushort Rows, ushort Columns)
{
    /// <summary>What programs assume that are told nothing.</summary>
    public static TerminalSize Usual { get; } = new(24, 80);
}
