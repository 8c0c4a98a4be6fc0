namespace Berth.Core.Containers;

/// <summary>A named volume as it is recorded: a folder of one machine, which decides where its users run.</summary>
/// <param name="Node">Name of the machine that has it; null until its first use.</param>
/// <param name="Creator">Name of the token that made it, or used it first.</param>
public sealed record Volume(string Name, string? Node, DateTimeOffset CreatedAt, string Creator);
