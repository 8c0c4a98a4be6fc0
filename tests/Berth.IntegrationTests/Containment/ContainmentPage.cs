using System.Text;

namespace Berth.IntegrationTests.Containment;

/// <summary>docs/internals/containment.md, made of the tables that the tests hold to.</summary>
internal static class ContainmentPage
{
    private const string Introduction =
        """
        # What a sandbox holds

        Written by the containment suite from its own tables (`tests/Berth.IntegrationTests/Containment`), which it
        holds to in a default sandbox made by runc: every attack is tried on every run of the tests, and this page is
        compared. To write it anew after a change of the tables: `BERTH_WRITE_PAGES=1`, and the test
        `The_page_says_what_the_tables_say`.

        A default sandbox has namespaces of its own of all seven kinds, user ids that mean nobody on the machine, nine
        capabilities within its user namespace, no new privileges, a seccomp filter, limits of memory, processor,
        processes and files, and no network. How it is made: [sandbox.md](sandbox.md). System calls, resources and
        network are tried a second time in a sandbox within a container of many, system calls a third time in one
        that is reused, and come to the same.


        """;

    public static string Render()
    {
        StringBuilder page = new(Introduction);
        SystemCalls(page);
        page.Append(
            "## Resources\n\nAfter each of them the next run is served, and nothing is left on the machine.\n\n");
        Table(page, ResourceAttack.All.Select(a => (a.Name, a.What, a.Outcome)));
        page.Append(
            "A program of any number of processes gets no more processor time than its limit.\n\n## Network\n\n");
        Table(page, NetworkAttackContract.Rows);
        page.Append(
            "## Images\n\nThe layers lie there as these images want them, past the unpacker; what an archive may "
            + "hold at all is tried by\n`tests/Berth.Testing/Layers/HostileLayers.cs`. A file of the machine that they "
            + "point to is neither read nor changed.\n\n");
        Table(page, ImageAttack.All.Select(a => (a.Name, a.What, a.Outcome)));
        return page.ToString().TrimEnd() + "\n";
    }

    private static void SystemCalls(StringBuilder page)
    {
        SystemCallAttack[] all = [.. SystemCallAttacks.All.SelectMany(g => g.Attacks)];
        SystemCallAttack[] left = [.. all.Where(a => a.MayBeDone)];
        page.Append(
            $"## System calls\n\n{all.Length} attacks with the raw call, as root of the sandbox and as a plain user. "
            + $"{left.Length} calls that look like attacks are left and\nharmless: {Names(left)}. "
            + "Where a kernel is built without a part, or a call is newer\nthan it, the error is its own; `nothing` "
            + "is a call that succeeds and changes nothing.\n\n");
        foreach (AttackGroup group in SystemCallAttacks.All)
        {
            page.Append($"### {group.Title}\n\n{group.What}\n\n| Attack | Outcome | |\n|---|---|---|\n");
            foreach (SystemCallAttack attack in group.Attacks)
            {
                string outcomes = string.Join(" or ", attack.Outcomes.Select(o => $"`{o}`"));
                page.Append($"| {attack.Name} | {outcomes} | {attack.Remark} |\n");
            }

            page.Append('\n');
        }
    }

    private static string Names(SystemCallAttack[] attacks) => string.Join(", ", attacks.Select(a => $"`{a.Name}`"));

    private static void Table(StringBuilder page, IEnumerable<(string Name, string What, string Outcome)> rows)
    {
        page.Append("| Attack | What it does | Outcome |\n|---|---|---|\n");
        foreach ((string name, string what, string outcome) in rows)
        {
            page.Append($"| {name} | {what} | {outcome} |\n");
        }

        page.Append('\n');
    }
}
